-- code: E604
-- severity: error
-- title: a derived edge whose stated parent is not there
-- remedy: run lexgraph derive
SELECT r.word || ' - ' || r.related || ' ' || r.kind || ' (rule ' || coalesce(r.rule, '?') || ')' AS what
FROM relations r ANTI JOIN relations p ON p.id = r.derived_from AND p.source <> 'negation'
WHERE r.source = 'negation' AND r.derived_from IS NOT NULL;
