-- Which words negate which, and on what evidence. Replaces what an earlier run decided.
-- A candidate is a word with an affix whose rest is a word of the graph; it counts as negation only if a kind of
-- evidence that the affix's rule calls enough speaks for it:
--   segmentation  a morphological table puts the affix outside the braces, so the rest stands alone
--   gloss         a gloss of the word says so: "not happy", "without hope"
--   antonym       a source states the two as antonyms

DELETE FROM morphology WHERE source = 'negation';

-- Each word with all the parts of speech that any source gives it.
CREATE OR REPLACE TEMP TABLE word_pos AS
SELECT word_key(word) AS key, lang, list(DISTINCT pos) AS parts FROM (
    SELECT word, lang, pos FROM senses UNION SELECT word, lang, pos FROM relations WHERE source <> 'negation'
    UNION SELECT related, lang, pos FROM relations WHERE source <> 'negation'
    UNION SELECT word, lang, pos FROM morphology
) WHERE pos IS NOT NULL GROUP BY ALL;

CREATE OR REPLACE TEMP TABLE bases AS
SELECT key, lang, min_by(word, (word <> key, word)) AS base FROM words GROUP BY key, lang;

CREATE OR REPLACE TEMP TABLE candidates AS
SELECT w.word, w.key, w.lang, b.base, b.key AS base_key, r.*
FROM words w
JOIN negation_rules r ON CASE r.position WHEN 'prefix' THEN starts_with(w.key, r.spelling) ELSE ends_with(w.key, r.spelling) END
JOIN bases b ON b.lang = w.lang AND b.key = CASE r.position
    WHEN 'prefix' THEN r.restore || substr(w.key, length(r.spelling) + 1)
    ELSE left(w.key, length(w.key) - length(r.spelling)) || r.restore END
LEFT JOIN word_pos wp ON wp.key = w.key AND wp.lang = w.lang
LEFT JOIN word_pos bp ON bp.key = b.key AND bp.lang = b.lang
WHERE length(b.key) >= 3
  -- The parts of speech must fit, where they are known at all.
  AND coalesce(list_has_any(wp.parts, r.pos), true) AND coalesce(list_has_any(bp.parts, r.base_pos), true);

CREATE OR REPLACE TEMP TABLE evidence AS
SELECT c.word, c.lang, c.base, c.affix, c.spelling, c.kind, 'segmentation' AS evidence
FROM candidates c JOIN morphology m ON word_key(m.word) = c.key AND m.lang = c.lang
WHERE (m.pos IS NULL OR list_contains(c.pos, m.pos))
  AND CASE c.position WHEN 'prefix' THEN starts_with(m.segmentation, c.morpholex)
                      ELSE ends_with(m.segmentation, c.morpholex) END
UNION
SELECT c.word, c.lang, c.base, c.affix, c.spelling, c.kind, 'gloss'
FROM candidates c JOIN senses s ON word_key(s.word) = c.key AND s.lang = c.lang
WHERE (s.pos IS NULL OR list_contains(c.pos, s.pos))
  AND regexp_matches(lower(s.gloss), '^(\([^)]*\) *)*(in a manner that is |the (state|quality) of being |to )?(not|non|un|without|lacking|free (from|of)|absence|lack|having no|devoid|the opposite|opposite)\b')
  AND regexp_matches(lower(s.gloss), '\b' || regexp_escape(c.base_key) || '\b')
UNION
SELECT c.word, c.lang, c.base, c.affix, c.spelling, c.kind, 'antonym'
FROM candidates c JOIN (
    SELECT word_key(word) AS one, word_key(related) AS other, lang FROM relations WHERE kind = 'antonym' AND source <> 'negation'
    UNION SELECT word_key(related), word_key(word), lang FROM relations WHERE kind = 'antonym' AND source <> 'negation'
) a ON a.one = c.key AND a.other = c.base_key AND a.lang = c.lang;

-- One base a word: the one with the most evidence, then the longest affix.
CREATE OR REPLACE TEMP TABLE negations AS
SELECT word, lang, base, affix, kind, evidence FROM (
    SELECT e.word, e.lang, e.base, e.affix, e.spelling, e.kind, list_sort(list(DISTINCT e.evidence)) AS evidence,
           first(r.enough) AS enough
    FROM evidence e JOIN negation_rules r ON (r.affix, r.spelling, r.kind) = (e.affix, e.spelling, e.kind)
    GROUP BY ALL
)
WHERE list_has_any(evidence, enough)
QUALIFY row_number() OVER (PARTITION BY word, lang ORDER BY len(evidence) DESC, length(spelling) DESC, affix, kind, base) = 1;

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
