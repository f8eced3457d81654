-- Words that a morphological table segments with an affix.
-- $affix VARCHAR: the affix, with a hyphen where the rest of the word stands: un- or -less
-- $limit INTEGER = 50: rows at most
SELECT word, lang, segmentation, roots, source FROM morphology
WHERE list_contains(CASE WHEN starts_with($affix, '-') THEN suffixes ELSE prefixes END, trim($affix, '-'))
ORDER BY ALL LIMIT $limit;
