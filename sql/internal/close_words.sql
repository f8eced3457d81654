-- Words that are spelled much like one that the graph lacks, without their accents; how close they are is not decided here.
-- word: the word that is missing
WITH asked AS MATERIALIZED (SELECT plain_key(word_key($word)) AS plain)
SELECT word, plain_key(key) AS plain, asked.plain AS asked
FROM words, asked
WHERE length(key) BETWEEN length(asked.plain) - 2 AND length(asked.plain) + 2
  AND jaro_winkler_similarity(plain_key(key), asked.plain, 0.8) > 0
ORDER BY jaro_winkler_similarity(plain_key(key), asked.plain) DESC, word LIMIT 50;
