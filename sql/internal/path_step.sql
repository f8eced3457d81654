-- One level of a breadth-first search over words, case apart: from `reached`, the words that lie one edge further.
-- side: which end the search comes from
-- depth: edges between that end and the new words
-- kinds: the kinds of edges to follow, in both directions
INSERT INTO reached
WITH frontier AS (
    SELECT w.word, lang, key, r.paths FROM reached r JOIN words w USING (key, lang)
    WHERE r.side = $side AND r.depth = $depth - 1
),
adjacent AS (
    SELECT word_key(r.related) AS key, lang, f.key AS via, f.paths
    FROM relations r JOIN frontier f USING (word, lang) WHERE list_contains($kinds, r.kind)
    UNION
    SELECT word_key(r.word), r.lang, f.key, f.paths
    FROM relations r JOIN frontier f ON f.word = r.related AND f.lang = r.lang WHERE list_contains($kinds, r.kind)
)
SELECT $side, key, lang, $depth, sum(paths), min(via)
FROM adjacent ANTI JOIN (SELECT key, lang FROM reached WHERE side = $side) USING (key, lang)
GROUP BY key, lang;
