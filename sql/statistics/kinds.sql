-- Edges by kind: stated and derived, and the unordered pairs of words that they join.
SELECT kind, count(*) AS edges, count(*) FILTER (source <> 'negation') AS stated,
       count(*) FILTER (source = 'negation') AS derived,
       count(DISTINCT (least(word, related), greatest(word, related), lang)) AS pairs
FROM relations GROUP BY kind ORDER BY kind;
