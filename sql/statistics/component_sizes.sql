-- How many components have how many words.
SELECT graph, size, count(*) AS components
FROM (SELECT graph, count(*) AS size FROM graph_components GROUP BY graph, component)
GROUP BY ALL ORDER BY ALL;
