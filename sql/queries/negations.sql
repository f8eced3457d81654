-- Words that negate another, with the evidence for it.
-- $affix VARCHAR = NULL: only this affix, as in data/affixes.csv: un-, -less
-- $limit INTEGER = 50: rows at most
SELECT word, base, affix, negation_kind, evidence, source FROM morphology
WHERE negates AND ($affix IS NULL OR affix = $affix) ORDER BY ALL LIMIT $limit;
