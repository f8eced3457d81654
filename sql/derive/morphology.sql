-- Writes the table negations (word, lang, base, affix, kind, evidence) into morphology, and the bases into words.

-- Only rows that change are touched, and those are put in anew: DuckDB takes many times as long to update them.
CREATE OR REPLACE TEMP TABLE changed AS
SELECT m.rowid AS row, m.word, m.lang, m.pos, m.segmentation, m.prefixes, m.roots, m.suffixes, m.source,
       n.word IS NOT NULL AS negates, n.base, n.affix, n.kind AS negation_kind, n.evidence
FROM morphology m LEFT JOIN negations n ON (n.word, n.lang) = (m.word, m.lang)
WHERE (m.base, m.affix, m.negation_kind, m.evidence) IS DISTINCT FROM (n.base, n.affix, n.kind, n.evidence);

DELETE FROM morphology WHERE rowid IN (SELECT row FROM changed);
INSERT INTO morphology BY NAME SELECT * EXCLUDE (row) FROM changed;

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
