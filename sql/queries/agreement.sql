-- How far two sources agree on the pairs of a kind, over the words that both of them mention.
-- $one SOURCE: a source
-- $other SOURCE: another source
-- $kind KIND = synonym: the kind
WITH mentioned AS (
    SELECT source, word, lang FROM relations UNION SELECT source, related, lang FROM relations
),
common AS (
    SELECT word, lang FROM mentioned WHERE source = $one INTERSECT SELECT word, lang FROM mentioned WHERE source = $other
),
pairs AS (
    SELECT DISTINCT least(word, related) AS word, greatest(word, related) AS related, lang, source
    FROM relations
    WHERE kind = $kind AND (word, lang) IN (FROM common) AND (related, lang) IN (FROM common)
),
of_one AS (SELECT word, related, lang FROM pairs WHERE source = $one),
of_other AS (SELECT word, related, lang FROM pairs WHERE source = $other)
SELECT *, round(pairs_of_both / nullif(pairs_of_one + pairs_of_other - pairs_of_both, 0), 4) AS jaccard
FROM (SELECT (SELECT count(*) FROM common) AS common_words,
             (SELECT count(*) FROM of_one) AS pairs_of_one,
             (SELECT count(*) FROM of_other) AS pairs_of_other,
             (SELECT count(*) FROM of_one JOIN of_other USING (word, related, lang)) AS pairs_of_both);
