-- Temporary macros: every connection has them, no file stores them.

-- A row's id is a hash of its content, so it does not depend on the order of ingest.
CREATE OR REPLACE TEMP MACRO row_id(parts) AS md5_number_lower(array_to_string(list_transform(parts, lambda p: coalesce(p, '')), chr(31)));

-- How a word is looked up: case does not count.
CREATE OR REPLACE TEMP MACRO word_key(w) AS lower(w);

-- A word as it is stored: NFC, no link anchor (`bank#English`, but C# keeps its sign), no namespace prefix, single spaces.
CREATE OR REPLACE TEMP MACRO clean_word(w) AS
    nfc_normalize(trim(regexp_replace(regexp_replace(regexp_replace(w,
        '^\s*(Thesaurus|Wikisaurus|w|wikipedia):', ''), '([^#\s])#[^#\s].*$', '\1'), '\s+', ' ', 'g')));

-- The kind that one negated side turns a relation into.
CREATE OR REPLACE TEMP MACRO opposite_kind(kind) AS CASE kind WHEN 'synonym' THEN 'antonym' WHEN 'antonym' THEN 'synonym' END;
