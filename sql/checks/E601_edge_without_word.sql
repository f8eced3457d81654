-- code: E601
-- severity: error
-- title: an edge whose word is not in the table of words
-- remedy: run lexgraph derive, which makes the table of words anew
SELECT DISTINCT r.word || ' - ' || r.related || ' ' || r.kind || ' (' || r.source || ')' AS what
FROM (SELECT *, word AS mentioned FROM relations UNION ALL SELECT *, related FROM relations) r
ANTI JOIN words w ON w.word = r.mentioned AND w.lang = r.lang;
