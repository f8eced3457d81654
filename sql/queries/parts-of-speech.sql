-- How many senses and edges of each source have which part of speech.
WITH counted AS (
    SELECT source, pos, count(*) AS senses, 0 AS edges FROM senses GROUP BY ALL
    UNION ALL
    SELECT source, pos, 0, count(*) FROM relations GROUP BY ALL
)
SELECT source, pos, sum(senses)::BIGINT AS senses, sum(edges)::BIGINT AS edges
FROM counted GROUP BY source, pos ORDER BY source, edges DESC, senses DESC, pos;
