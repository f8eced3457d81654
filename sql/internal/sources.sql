-- What stands in the graph, one row a source; what a derived edge rests on stands in edge_sources (internal/grounds.sql).
WITH edges AS (SELECT source, count(*) AS edges FROM relations GROUP BY 1),
derived AS (SELECT source, count(*) AS derived FROM (
    SELECT unnest(e.sources) AS source FROM edge_sources e JOIN relations r USING (id) WHERE r.source = 'negation') GROUP BY 1),
glosses AS (SELECT source, count(*) AS senses FROM senses GROUP BY 1),
segmented AS (SELECT source, count(*) AS segmentations FROM morphology GROUP BY 1)
SELECT s.name, s.reader, s.revision, s.licence, s.url, s.files, s.sha256, s.bytes,
       coalesce(edges, 0) AS edges, coalesce(senses, 0) AS senses, coalesce(segmentations, 0) AS segmentations,
       coalesce(derived, 0) AS derived, s.tool, s.tool_version, s.ingested_at
FROM sources s
LEFT JOIN edges e ON e.source = s.name LEFT JOIN derived d ON d.source = s.name
LEFT JOIN glosses g ON g.source = s.name LEFT JOIN segmented m ON m.source = s.name
ORDER BY s.name;
