-- code: E606
-- severity: error
-- title: an edge is tied to a sense of another word
-- remedy: ingest the source again (lexgraph ingest ...)
SELECT r.word || ' - ' || r.related || ' ' || r.kind || ' (' || r.source || '; sense of ' || s.word || ')' AS what
FROM relations r JOIN senses s ON s.id = r.sense WHERE s.word <> r.word OR s.lang <> r.lang;
