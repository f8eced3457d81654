-- How many words have how many neighbours.
SELECT graph, degree, count(*) AS words FROM graph_degrees GROUP BY ALL ORDER BY ALL;
