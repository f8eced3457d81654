-- code: W702
-- severity: warning
-- title: a source from which nothing is in the graph
-- remedy: look at why everything was dropped: lexgraph query --sql "FROM intake WHERE source = $s" --param s=NAME
SELECT s.name AS what FROM sources s ANTI JOIN (
    SELECT source FROM relations UNION SELECT source FROM senses UNION SELECT source FROM morphology
) r ON r.source = s.name;
