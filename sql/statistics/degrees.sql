-- Degrees in the undirected simple graph of each kind, and of synonyms and antonyms together.
SELECT graph, count(*) AS words, sum(degree)::BIGINT // 2 AS pairs, round(avg(degree), 2) AS mean,
       median(degree) AS median, quantile_disc(degree, 0.9) AS p90, quantile_disc(degree, 0.99) AS p99,
       max(degree) AS highest, min_by(word, (-degree, word)) AS highest_of
FROM graph_degrees JOIN numbered USING (number) GROUP BY graph ORDER BY words DESC, graph;
