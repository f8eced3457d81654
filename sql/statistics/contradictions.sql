-- Pairs that are both synonyms and antonyms, by how each side is known.
WITH known AS (
    SELECT kind, a, b, sources, CASE WHEN sources = ['negation'] THEN 'derived'
                                     WHEN list_contains(sources, 'negation') THEN 'stated and derived'
                                     ELSE 'stated' END AS known
    FROM kind_pairs
)
SELECT s.known AS synonym, a.known AS antonym, count(*) AS pairs,
       count(*) FILTER (len(list_filter(list_intersect(s.sources, a.sources), lambda x: x <> 'negation')) > 0)
           AS within_one_source
FROM known s JOIN known a USING (a, b) WHERE s.kind = 'synonym' AND a.kind = 'antonym'
GROUP BY ALL ORDER BY ALL;
