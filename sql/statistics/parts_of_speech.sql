-- Edges by source, kind and part of speech.
SELECT source, kind, pos, count(*) AS edges FROM relations GROUP BY ALL ORDER BY source, kind, pos NULLS LAST;
