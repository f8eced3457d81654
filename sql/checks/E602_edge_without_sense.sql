-- code: E602
-- severity: error
-- title: an edge is tied to a sense that is not there
-- remedy: ingest the source again (lexgraph ingest ...)
SELECT r.word || ' - ' || r.related || ' ' || r.kind || ' (' || r.source || ')' AS what
FROM relations r ANTI JOIN senses s ON s.id = r.sense WHERE r.sense IS NOT NULL;
