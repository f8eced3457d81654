-- Words that negate a base, by affix, kind and the evidence for it, with the shortest of them as an example.
SELECT affix, negation_kind AS kind, evidence, count(DISTINCT word) AS words,
       min_by(word, (length(word), word)) AS word, min_by(base, (length(word), word)) AS base
FROM morphology WHERE negates GROUP BY ALL ORDER BY ALL;
