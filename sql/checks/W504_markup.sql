-- code: W504
-- severity: warning
-- title: markup is left over in a word or a gloss
-- remedy: report it with the entry to the maintainers of the reader
WITH texts AS (
    SELECT 'word ' || word AS place, word AS text FROM words
    UNION SELECT 'gloss of ' || word || ' (' || source || '): ' || gloss, gloss FROM senses
    UNION SELECT 'note on ' || word || ' - ' || related || ' (' || source || '): ' || note, note
    FROM relations WHERE note IS NOT NULL
)
SELECT place AS what FROM texts
WHERE regexp_matches(text, '\{\{|\}\}|\[\[|\]\]|</?(ref|sup|sub|br|i|b|small|span|nowiki|math)\b[^<>]*>|&(amp|lt|gt|nbsp|quot|#[0-9]+);|''''');
