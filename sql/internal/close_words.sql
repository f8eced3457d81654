-- Words that are spelled much like one that the graph lacks, the closest first.
-- word: the word that is missing
WITH asked AS MATERIALIZED (SELECT word_key($word) AS key),
alike AS (
    SELECT DISTINCT w.word, w.key, jaro_winkler_similarity(w.key, a.key, 0.8) AS similarity
    FROM words w, asked a
    WHERE length(w.key) BETWEEN length(a.key) - 2 AND length(a.key) + 2 AND similarity > 0
    ORDER BY similarity DESC, w.word LIMIT 50
)
SELECT word FROM alike, asked a
WHERE damerau_levenshtein(alike.key, a.key) <= greatest(1, least(3, length(a.key) // 3))
ORDER BY damerau_levenshtein(alike.key, a.key), similarity DESC, word LIMIT 5;
