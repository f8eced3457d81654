-- The largest components, each with the words that have most neighbours.
SELECT graph, row_number() OVER (PARTITION BY graph ORDER BY size DESC, words) AS rank, size, words
FROM (
    SELECT graph, component, count(*) AS size, min(struct_pack(d := -degree, w := word), 5) AS most,
           list_transform(most, lambda x: x.w) AS words
    FROM graph_components JOIN graph_degrees USING (graph, number) JOIN numbered USING (number)
    GROUP BY graph, component
)
QUALIFY rank <= 5 ORDER BY graph, rank;
