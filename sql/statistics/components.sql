-- Connected components: how many, and how much of the graph the largest holds.
WITH sizes AS (SELECT graph, component, count(*) AS size FROM graph_components GROUP BY ALL)
SELECT graph, sum(size)::BIGINT AS words, count(*) AS components, max(size) AS largest,
       round(max(size) / sum(size), 4) AS share_of_largest, max(size, 5) AS five_largest
FROM sizes GROUP BY graph ORDER BY words DESC, graph;
