-- The words with the most senses in a source.
-- $source SOURCE: the source
-- $limit INTEGER = 20: rows at most
SELECT word, lang, count(*) AS senses, coalesce(list_sort(list(DISTINCT pos) FILTER (pos IS NOT NULL)), []) AS pos FROM senses WHERE source = $source
GROUP BY word, lang ORDER BY senses DESC, word, lang LIMIT $limit;
