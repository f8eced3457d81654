-- code: W502
-- severity: warning
-- title: a character was lost: U+FFFD stands in its place
-- remedy: get the file anew in UTF-8 and ingest again
WITH texts AS (
    SELECT 'word ' || word AS place, word AS text FROM words
    UNION SELECT 'gloss of ' || word || ' (' || source || '): ' || gloss, gloss FROM senses
    UNION SELECT 'note on ' || word || ' - ' || related || ' (' || source || '): ' || note, note
    FROM relations WHERE note IS NOT NULL
)
SELECT place AS what FROM texts WHERE contains(text, chr(65533));
