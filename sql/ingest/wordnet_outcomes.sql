-- What became of WordNet's pointers, by relation.
SELECT CASE WHEN kind IS NULL THEN 'other' ELSE kind END AS relation, outcome, count(*) AS pointers
FROM wordnet_judged
GROUP BY ALL ORDER BY 1, 3 DESC, 2;
