-- Pairs that a source states in one direction only, though both words have entries of that kind in it.
-- $source SOURCE: the source
-- $kind KIND = synonym: a kind that should hold both ways
-- $limit INTEGER = 50: rows at most
WITH said AS (SELECT DISTINCT word, related, lang FROM relations WHERE source = $source AND kind = $kind)
SELECT word, related, lang FROM said s
WHERE (related, word, lang) NOT IN (FROM said) AND (related, lang) IN (SELECT word, lang FROM said)
ORDER BY ALL LIMIT $limit;
