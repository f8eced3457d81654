-- Words that begin with some letters; case does not count, nor do accents if the letters have none.
-- prefix: the letters, in NFC
-- limit: rows at most
WITH asked AS MATERIALIZED (SELECT word_key($prefix) AS letters),
found AS MATERIALIZED (
    SELECT word, lang, key FROM words, asked
    WHERE starts_with(if(plain_key(letters) = letters, plain_key(key), key), letters) ORDER BY key, word, lang LIMIT $limit
),
glosses AS (SELECT word, lang, count(*) AS senses, coalesce(list_sort(list(DISTINCT pos) FILTER (pos IS NOT NULL)), []) AS pos FROM senses WHERE word IN (SELECT word FROM found) GROUP BY ALL),
ends AS (
    SELECT word, lang FROM relations WHERE word IN (SELECT word FROM found)
    UNION ALL
    SELECT related, lang FROM relations WHERE related IN (SELECT word FROM found)
),
degrees AS (SELECT word, lang, count(*) AS edges FROM ends GROUP BY ALL)
SELECT word, lang, coalesce(pos, []) AS pos, coalesce(senses, 0) AS senses, coalesce(edges, 0) AS edges
FROM found LEFT JOIN glosses USING (word, lang) LEFT JOIN degrees USING (word, lang)
ORDER BY key, word, lang;
