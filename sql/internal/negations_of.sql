-- What words negate: one row for each source of the segmentation, with those of the words that were asked for.
-- words: the words; case does not count
WITH asked AS MATERIALIZED (
    SELECT word_key(word) AS key, list(word) AS asked FROM (SELECT DISTINCT unnest($words) AS word) GROUP BY 1
),
spelled AS MATERIALIZED (SELECT DISTINCT word, key FROM words WHERE key IN (SELECT key FROM asked)),
mine AS MATERIALIZED (FROM morphology WHERE word IN (SELECT word FROM spelled))
SELECT DISTINCT a.asked, m.word, m.base, m.affix, m.negation_kind, m.evidence, m.source, m.lang
FROM mine m JOIN spelled USING (word) JOIN asked a USING (key)
WHERE m.negates
ORDER BY m.word, m.lang, m.base, m.affix, m.negation_kind, m.source, m.evidence;
