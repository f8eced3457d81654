-- How many stated edges of each kind stand under which licence.
SELECT coalesce(s.licence, 'unknown') AS licence, r.kind, count(*) AS edges, list_sort(list(DISTINCT r.source)) AS sources
FROM relations r JOIN sources s ON s.name = r.source
GROUP BY 1, 2 ORDER BY 1, 2;
