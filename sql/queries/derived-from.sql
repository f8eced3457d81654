-- Derived edges whose stated parent is a source's: what its removal would take away with it.
-- $source SOURCE: the source of the parents
-- $limit INTEGER = 50: rows at most
SELECT d.kind, d.word, d.related, d.rule, p.kind AS parent_kind, p.word AS parent_word, p.related AS parent_related
FROM relations d JOIN relations p ON p.id = d.derived_from
WHERE p.source = $source ORDER BY ALL LIMIT $limit;
