-- One level of a breadth-first search over words: from `reached`, the words that lie one edge further.
-- side: which end the search comes from
-- depth: edges between that end and the new words
-- kinds: the kinds of edges to follow, in both directions
INSERT INTO reached
WITH frontier AS MATERIALIZED (SELECT word, lang, paths FROM reached WHERE side = $side AND depth = $depth - 1),
edges AS MATERIALIZED (
    SELECT word, related, lang, kind FROM relations WHERE word IN (SELECT word FROM frontier)
    UNION ALL
    SELECT related, word, lang, kind FROM relations WHERE related IN (SELECT word FROM frontier)
),
adjacent AS (
    SELECT e.related AS word, lang, f.word AS via, f.paths
    FROM edges e JOIN frontier f USING (word, lang)
    GROUP BY e.related, lang, f.word, f.paths HAVING bool_or(list_contains($kinds, e.kind))
)
SELECT $side, word, lang, $depth, sum(paths), min(via)
FROM adjacent ANTI JOIN (SELECT word, lang FROM reached WHERE side = $side) USING (word, lang)
GROUP BY word, lang;
