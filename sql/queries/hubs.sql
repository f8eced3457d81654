-- The words with the most neighbours by edges of a kind.
-- $kind KIND = synonym: the kind
-- $limit INTEGER = 20: rows at most
WITH ends AS (
    SELECT word, lang, related FROM relations WHERE kind = $kind
    UNION SELECT related, lang, word FROM relations WHERE kind = $kind
)
SELECT word, lang, count(*) AS neighbours FROM ends GROUP BY word, lang ORDER BY neighbours DESC, word, lang LIMIT $limit;
