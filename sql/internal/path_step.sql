-- One level of a breadth-first search over words, case apart: from `reached`, the words that lie one edge further.
-- side: which end the search comes from
-- depth: edges between that end and the new words
-- kinds: the kinds of edges to follow, in both directions
INSERT INTO reached
WITH latest AS MATERIALIZED (SELECT key, lang, paths FROM reached WHERE side = $side AND depth = $depth - 1),
frontier AS MATERIALIZED (
    SELECT w.word, lang, key, l.paths
    FROM (FROM words WHERE key IN (SELECT key FROM latest)) w JOIN latest l USING (key, lang)
),
edges AS MATERIALIZED (
    SELECT word, related, lang, kind FROM relations WHERE word IN (SELECT word FROM frontier)
    UNION ALL
    SELECT related, word, lang, kind FROM relations WHERE related IN (SELECT word FROM frontier)
),
adjacent AS (
    SELECT word_key(e.related) AS key, lang, f.key AS via, f.paths
    FROM edges e JOIN frontier f USING (word, lang)
    GROUP BY word_key(e.related), lang, f.key, f.paths HAVING bool_or(list_contains($kinds, e.kind))
)
SELECT $side, key, lang, $depth, sum(paths), min(via)
FROM adjacent ANTI JOIN (SELECT key, lang FROM reached WHERE side = $side) USING (key, lang)
GROUP BY key, lang;
