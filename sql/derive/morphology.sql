-- Writes the table negations (word, lang, base, affix, kind, evidence) into morphology, and the bases into words.

-- Only rows that change are touched: updating the whole table takes DuckDB most of a minute for MorphoLEX.
UPDATE morphology SET negates = false, base = NULL, affix = NULL, negation_kind = NULL, evidence = NULL
WHERE negates AND (word, lang) NOT IN (SELECT (word, lang) FROM negations);

UPDATE morphology m SET negates = true, base = n.base, affix = n.affix, negation_kind = n.kind, evidence = n.evidence
FROM negations n WHERE n.word = m.word AND n.lang = m.lang
AND (m.base, m.affix, m.negation_kind, m.evidence) IS DISTINCT FROM (n.base, n.affix, n.kind, n.evidence);

INSERT INTO morphology (word, lang, segmentation, prefixes, roots, suffixes, source, negates, base, affix, negation_kind, evidence)
SELECT word, lang, CASE WHEN affix LIKE '%-' THEN '<' || rtrim(affix, '-') || '<{(' || base || ')}'
                        ELSE '{(' || base || ')}>' || ltrim(affix, '-') || '>' END,
       CASE WHEN affix LIKE '%-' THEN [rtrim(affix, '-')] ELSE [] END, [base],
       CASE WHEN affix LIKE '%-' THEN [] ELSE [ltrim(affix, '-')] END,
       'negation', true, base, affix, kind, evidence
FROM negations WHERE (word, lang) NOT IN (SELECT (word, lang) FROM morphology);

-- A base may be a form that no source mentions by itself: locked, where they know lock.
INSERT INTO words SELECT DISTINCT base, word_key(base), lang FROM negations
WHERE (base, lang) NOT IN (SELECT (word, lang) FROM words);
