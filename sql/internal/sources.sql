-- What stands in the graph, one row a source. A derived edge rests on the source that states its parent and on those
-- that segment the words it takes to be negated.
WITH negated AS (
    SELECT id, derived_from, lang, unnest(negated) AS word FROM relations WHERE source = 'negation'
),
rests AS (
    SELECT n.id, p.source FROM negated n JOIN relations p ON p.id = n.derived_from
    UNION
    SELECT n.id, m.source FROM negated n JOIN words w ON w.word = n.word AND w.lang = n.lang
    JOIN words v ON v.key = w.key AND v.lang = w.lang
    JOIN morphology m ON m.word = v.word AND m.lang = v.lang WHERE m.negates
),
edges AS (SELECT source, count(*) AS edges FROM relations GROUP BY 1),
derived AS (SELECT source, count(*) AS derived FROM rests GROUP BY 1),
glosses AS (SELECT source, count(*) AS senses FROM senses GROUP BY 1),
segmented AS (SELECT source, count(*) AS segmentations FROM morphology GROUP BY 1)
SELECT s.name, s.reader, s.revision, s.licence, s.url, s.files, s.sha256, s.bytes,
       coalesce(edges, 0) AS edges, coalesce(senses, 0) AS senses, coalesce(segmentations, 0) AS segmentations,
       coalesce(derived, 0) AS derived, s.tool, s.tool_version, s.ingested_at
FROM sources s
LEFT JOIN edges e ON e.source = s.name LEFT JOIN derived d ON d.source = s.name
LEFT JOIN glosses g ON g.source = s.name LEFT JOIN segmented m ON m.source = s.name
ORDER BY s.name;
