-- What words negate: one row for each source of the segmentation, with those of the words that were asked for.
-- words: the words; case does not count
WITH asked AS (SELECT word_key(word) AS key, list(word) AS asked FROM (SELECT DISTINCT unnest($words) AS word) GROUP BY 1)
SELECT DISTINCT a.asked, m.word, m.base, m.affix, m.negation_kind, m.evidence, m.source
FROM morphology m JOIN words w USING (word, lang) JOIN asked a USING (key)
WHERE m.negates
ORDER BY m.word, m.base, m.affix, m.negation_kind, m.source, m.evidence;
