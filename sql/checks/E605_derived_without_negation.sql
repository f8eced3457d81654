-- code: E605
-- severity: error
-- title: a derived edge rests on a word that negates nothing
-- remedy: run lexgraph derive
SELECT r.word || ' - ' || r.related || ' ' || r.kind || ' (negated: ' || coalesce(r.negation, '?') || ')' AS what
FROM (SELECT word, related, lang, kind, unnest(coalesce(negated, [NULL])) AS negation FROM relations WHERE source = 'negation') r
ANTI JOIN (SELECT DISTINCT word, lang FROM morphology WHERE negates) m
  ON m.word = r.negation AND m.lang = r.lang;
