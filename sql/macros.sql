-- Temporary macros: every connection has them, no file stores them.

-- A row's id is a hash of its content, so it does not depend on the order of ingest.
CREATE OR REPLACE TEMP MACRO row_id(parts) AS md5_number_lower(array_to_string(list_transform(parts, lambda p: coalesce(p, '')), chr(31)));

-- How a word is looked up: Unicode case folding, where DuckDB's lower() only lowers. The letters are those of the Latin,
-- Greek, Cyrillic and Armenian scripts that the two treat differently. Most words are ASCII, and of the others few have
-- more than a sharp s or a final sigma, so only the rest is taken apart letter by letter.
SET VARIABLE letter_folds = MAP {
    'µ': 'μ', 'ß': 'ss', 'İ': 'i̇', 'ŉ': 'ʼn', 'ſ': 's', 'ǰ': 'ǰ', 'ͅ': 'ι', 'ΐ': 'ΐ', 'ΰ': 'ΰ', 'ς': 'σ',
    'ϐ': 'β', 'ϑ': 'θ', 'ϕ': 'φ', 'ϖ': 'π', 'ϰ': 'κ', 'ϱ': 'ρ', 'ϵ': 'ε', 'և': 'եւ', 'ᲀ': 'в', 'ᲁ': 'д',
    'ᲂ': 'о', 'ᲃ': 'с', 'ᲄ': 'т', 'ᲅ': 'т', 'ᲆ': 'ъ', 'ᲇ': 'ѣ', 'ᲈ': 'ꙋ', 'ẖ': 'ẖ', 'ẗ': 'ẗ', 'ẘ': 'ẘ',
    'ẙ': 'ẙ', 'ẚ': 'aʾ', 'ẛ': 'ṡ', 'ẞ': 'ss', 'ὐ': 'ὐ', 'ὒ': 'ὒ', 'ὔ': 'ὔ', 'ὖ': 'ὖ', 'ᾀ': 'ἀι',
    'ᾁ': 'ἁι', 'ᾂ': 'ἂι', 'ᾃ': 'ἃι', 'ᾄ': 'ἄι', 'ᾅ': 'ἅι', 'ᾆ': 'ἆι', 'ᾇ': 'ἇι', 'ᾈ': 'ἀι', 'ᾉ': 'ἁι', 'ᾊ': 'ἂι',
    'ᾋ': 'ἃι', 'ᾌ': 'ἄι', 'ᾍ': 'ἅι', 'ᾎ': 'ἆι', 'ᾏ': 'ἇι', 'ᾐ': 'ἠι', 'ᾑ': 'ἡι', 'ᾒ': 'ἢι', 'ᾓ': 'ἣι', 'ᾔ': 'ἤι',
    'ᾕ': 'ἥι', 'ᾖ': 'ἦι', 'ᾗ': 'ἧι', 'ᾘ': 'ἠι', 'ᾙ': 'ἡι', 'ᾚ': 'ἢι', 'ᾛ': 'ἣι', 'ᾜ': 'ἤι', 'ᾝ': 'ἥι', 'ᾞ': 'ἦι',
    'ᾟ': 'ἧι', 'ᾠ': 'ὠι', 'ᾡ': 'ὡι', 'ᾢ': 'ὢι', 'ᾣ': 'ὣι', 'ᾤ': 'ὤι', 'ᾥ': 'ὥι', 'ᾦ': 'ὦι', 'ᾧ': 'ὧι', 'ᾨ': 'ὠι',
    'ᾩ': 'ὡι', 'ᾪ': 'ὢι', 'ᾫ': 'ὣι', 'ᾬ': 'ὤι', 'ᾭ': 'ὥι', 'ᾮ': 'ὦι', 'ᾯ': 'ὧι', 'ᾲ': 'ὰι', 'ᾳ': 'αι', 'ᾴ': 'άι',
    'ᾶ': 'ᾶ', 'ᾷ': 'ᾶι', 'ᾼ': 'αι', 'ι': 'ι', 'ῂ': 'ὴι', 'ῃ': 'ηι', 'ῄ': 'ήι', 'ῆ': 'ῆ', 'ῇ': 'ῆι',
    'ῌ': 'ηι', 'ῒ': 'ῒ', 'ΐ': 'ΐ', 'ῖ': 'ῖ', 'ῗ': 'ῗ', 'ῢ': 'ῢ', 'ΰ': 'ΰ', 'ῤ': 'ῤ', 'ῦ': 'ῦ',
    'ῧ': 'ῧ', 'ῲ': 'ὼι', 'ῳ': 'ωι', 'ῴ': 'ώι', 'ῶ': 'ῶ', 'ῷ': 'ῶι', 'ῼ': 'ωι', 'ﬀ': 'ff', 'ﬁ': 'fi',
    'ﬂ': 'fl', 'ﬃ': 'ffi', 'ﬄ': 'ffl', 'ﬅ': 'st', 'ﬆ': 'st', 'ﬓ': 'մն', 'ﬔ': 'մե', 'ﬕ': 'մի', 'ﬖ': 'վն',
    'ﬗ': 'մխ'};
CREATE OR REPLACE TEMP MACRO word_key(w) AS CASE
    WHEN strlen(w) = length(w) THEN lower(w)
    WHEN regexp_matches(w, '[µİŉǰͅΐΰϐϑϕϖϰϱϵևᲀᲁᲂᲃᲄᲅᲆᲇᲈẖẗẘẙẚẛὐὒὔὖᾀᾁᾂᾃᾄᾅᾆᾇᾈᾉᾊᾋᾌᾍᾎᾏᾐᾑᾒᾓᾔᾕᾖᾗᾘᾙᾚᾛᾜᾝᾞᾟᾠᾡᾢᾣᾤᾥᾦᾧᾨᾩᾪᾫᾬᾭᾮᾯᾲᾳᾴᾶᾷᾼιῂῃῄῆῇῌῒΐῖῗῢΰῤῦῧῲῳῴῶῷῼﬀﬁﬂﬃﬄﬅﬆﬓﬔﬕﬖﬗ]')
    THEN array_to_string(list_transform(string_split(w, ''), lambda c: coalesce(getvariable('letter_folds')[c], lower(c))), '')
    ELSE translate(replace(lower(w), 'ß', 'ss'), 'ςſ', 'σs') END;

-- A key without accents and with one kind of apostrophe, as people type it: cafe, don't.
CREATE OR REPLACE TEMP MACRO plain_key(key) AS if(strlen(key) = length(key), key, translate(strip_accents(key), '’‘ʼ', ''''''''));

-- A word as it is stored: NFC, no link anchor, no namespace prefix, single spaces. An anchor is spelled as a heading is
-- (`bank#English`, `bank#Etymology 2`): C#, C#m and F#7 are words.
CREATE OR REPLACE TEMP MACRO cut_namespace(w) AS regexp_replace(w, '^\s*(Thesaurus|Wikisaurus|w|wikipedia):', '');
CREATE OR REPLACE TEMP MACRO cut_anchor(w) AS regexp_replace(w, '([^#\s])#[A-Z]\p{Ll}{2}.*$', '\1');
CREATE OR REPLACE TEMP MACRO single_spaces(w) AS trim(regexp_replace(w, '[\s\p{Z}\x{85}]+', ' ', 'g'));
CREATE OR REPLACE TEMP MACRO clean_word(w) AS nfc_normalize(single_spaces(cut_anchor(cut_namespace(w))));

-- Which of these rules a word needed.
CREATE OR REPLACE TEMP MACRO word_repairs(w) AS [
    {name: 'namespace prefix cut off', applies: cut_namespace(w) <> w}, {name: 'link anchor cut off', applies: cut_anchor(w) <> w},
    {name: 'white space', applies: single_spaces(w) <> w}, {name: 'normalised to NFC', applies: nfc_normalize(w) <> w}];

-- The kind that one negated side turns a relation into.
CREATE OR REPLACE TEMP MACRO opposite_kind(kind) AS CASE kind WHEN 'synonym' THEN 'antonym' WHEN 'antonym' THEN 'synonym' END;

-- The tags of rows that are one and the same.
CREATE OR REPLACE TEMP MACRO all_tags(lists) AS nullif(list_sort(list_distinct(flatten(lists))), []);
