-- Words that begin with some letters; case does not count.
-- prefix: the letters
-- limit: rows at most
WITH found AS MATERIALIZED (SELECT word, lang, key FROM words WHERE starts_with(key, word_key($prefix)) ORDER BY key, word, lang LIMIT $limit),
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
