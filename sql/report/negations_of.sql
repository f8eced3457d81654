-- What some words negate, and what carried the decision, whatever table segments them.
-- words: their spellings.
SELECT word, base, list_sort(list_distinct(flatten(list(evidence)))) AS evidence
FROM morphology WHERE negates AND word IN (SELECT unnest($words)) GROUP BY ALL ORDER BY ALL;
