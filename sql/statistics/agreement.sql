-- Pairs by the number of sources that have them; negation counts as a source of what it yields.
SELECT kind, len(sources) AS sources, count(*) AS pairs FROM kind_pairs
WHERE kind IN ('synonym', 'antonym') GROUP BY ALL ORDER BY ALL;
