-- All undirected pairs of a symmetric kind, each once, by key (lower case), sorted.
-- kind: synonym or antonym
-- lang: ISO 639 code of the words
SELECT DISTINCT least(word_key(word), word_key(related)) AS word, greatest(word_key(word), word_key(related)) AS related
FROM (
    SELECT 'synonym' AS kind, word, related, lang FROM synonyms
    UNION ALL
    SELECT 'antonym', word, related, lang FROM antonyms
)
WHERE kind = $kind AND lang = $lang AND word_key(word) <> word_key(related)
ORDER BY ALL;
