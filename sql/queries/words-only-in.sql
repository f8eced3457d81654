-- Words that one source has and no other.
-- $source SOURCE: the source
-- $limit INTEGER = 50: rows at most
WITH mentions AS (
    SELECT source, word, lang FROM senses
    UNION SELECT source, word, lang FROM morphology
    UNION SELECT source, word, lang FROM relations
    UNION SELECT source, related, lang FROM relations
)
SELECT word, lang FROM mentions WHERE source <> 'negation'
GROUP BY word, lang HAVING list(source) = [$source] ORDER BY ALL LIMIT $limit;
