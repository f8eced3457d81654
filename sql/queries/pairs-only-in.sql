-- Pairs of a kind that one source states and no other states or yields.
-- $source SOURCE: the source
-- $kind KIND = synonym: the kind
-- $limit INTEGER = 50: rows at most
SELECT least(word, related) AS word, greatest(word, related) AS related, lang
FROM relations WHERE kind = $kind
GROUP BY least(word, related), greatest(word, related), lang
HAVING list(DISTINCT source) = [$source] ORDER BY ALL LIMIT $limit;
