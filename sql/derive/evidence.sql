-- Which candidates negate, and on what evidence (docs/negation.md describes each kind). Fills `negations`.

-- What each candidate is formed from: unlocked from unlock, irregularly from irregular.
CREATE OR REPLACE TEMP TABLE stems AS
SELECT DISTINCT c.lang, c.form, left(c.form, length(c.form) - length(r.suffix)) || r.instead_of AS stem, r.base_pos AS pos, r.regular
FROM candidates c
JOIN suffix_rules r ON r.lang = c.lang AND ends_with(c.form, r.suffix) AND (len(c.parts) = 0 OR list_contains(c.parts, r.pos));

CREATE OR REPLACE TEMP TABLE kin AS
SELECT DISTINCT i.lang, i.form, i.lemma AS parent, false AS regular FROM inflected i SEMI JOIN candidates USING (lang, form)
UNION
SELECT s.lang, s.form, s.stem, s.regular FROM stems s JOIN graph_words g ON (g.lang, g.form) = (s.lang, s.stem)
WHERE s.stem <> s.form AND (g.parts IS NULL OR list_contains(g.parts, s.pos));

CREATE OR REPLACE TEMP TABLE segmentations AS
SELECT DISTINCT word AS form, lang, segmentation FROM morphology WHERE source <> 'negation';

-- How many sources state a candidate and its base as antonyms, and how many as synonyms.
CREATE OR REPLACE TEMP TABLE stated_pairs AS
WITH pairs AS (SELECT DISTINCT lang, form, base_form FROM candidates),
both_ways AS (
    SELECT word AS form, related AS base_form, lang, kind, source FROM relations
    WHERE kind IN ('synonym', 'antonym') AND source <> 'negation'
    UNION ALL
    SELECT related, word, lang, kind, source FROM relations
    WHERE kind IN ('synonym', 'antonym') AND source <> 'negation'
)
SELECT lang, form, base_form, count(DISTINCT source) FILTER (kind = 'antonym') AS antonym,
       count(DISTINCT source) FILTER (kind = 'synonym') AS synonym
FROM both_ways SEMI JOIN pairs USING (lang, form, base_form) GROUP BY ALL;

CREATE OR REPLACE TEMP TABLE evidence AS
SELECT c.*, 'segmentation' AS evidence
FROM candidates c JOIN negation_rules r USING (lang, affix, spelling, kind) JOIN segmentations m USING (lang, form)
WHERE CASE c.position WHEN 'prefix' THEN starts_with(m.segmentation, r.morpholex) ELSE ends_with(m.segmentation, r.morpholex) END
UNION
SELECT c.*, 'gloss'
FROM candidates c JOIN denials d USING (lang, form)
WHERE (d.pos IS NULL OR list_contains(c.pos, d.pos))
  AND (d.said = c.base_form
       OR EXISTS (FROM inflected i WHERE (i.lang, i.form, i.lemma) = (c.lang, c.base_form, d.said))
       OR EXISTS (FROM inflected i WHERE (i.lang, i.form, i.lemma) = (c.lang, d.said, c.base_form)))
UNION
SELECT c.*, unnest(CASE WHEN p.antonym > 1 THEN ['antonym', 'antonyms'] ELSE ['antonym'] END)
FROM candidates c JOIN stated_pairs p USING (lang, form, base_form) WHERE p.antonym > p.synonym
UNION
-- A fitting base alone: only where no table cuts the word, and it is not formed from another word with those letters.
SELECT c.*, 'base'
FROM candidates c JOIN negation_rules r USING (lang, affix, spelling, kind)
WHERE list_has_any(c.base_parts, r.alone_pos) AND length(c.base_form) >= r.alone_length
  AND regexp_matches(c.base_form, coalesce(r.alone_shape, ''))
  AND NOT EXISTS (FROM segmentations m WHERE (m.lang, m.form) = (c.lang, c.form))
  AND NOT EXISTS (FROM kin k WHERE (k.lang, k.form) = (c.lang, c.form) AND starts_with(k.parent, c.spelling) AND c.position = 'prefix');

-- Exceptions, and what is formed from them.
CREATE OR REPLACE TEMP TABLE excepted AS
WITH RECURSIVE family AS (
    SELECT lang, word AS form FROM negation_exceptions
    UNION SELECT k.lang, k.form FROM family f JOIN kin k ON (k.lang, k.parent) = (f.lang, f.form)
)
FROM family;

-- No evidence stands against these: more sources that call word and base synonyms than antonyms.
CREATE OR REPLACE TEMP TABLE possible AS
SELECT c.*, (list_contains(c.parts, 'verb') AND NOT list_contains(c.parts, 'adj'))
            OR EXISTS (FROM inflected i WHERE (i.lang, i.form, i.pos) = (c.lang, c.form, 'verb')) AS is_verb
FROM candidates c
ANTI JOIN (FROM stated_pairs WHERE synonym > antonym) s USING (lang, form, base_form)
ANTI JOIN excepted USING (lang, form);

-- Those with enough evidence of their own ...
CREATE OR REPLACE TEMP TABLE supported AS
SELECT e.lang, e.form, e.affix, e.spelling, e.kind, e.base_form, list_sort(list(DISTINCT e.evidence)) AS evidence
FROM evidence e JOIN negation_rules r USING (lang, affix, spelling, kind)
SEMI JOIN possible USING (lang, form, base_form)
GROUP BY ALL
HAVING bool_or(e.evidence = 'base' OR list_contains(r.enough, e.evidence));

-- ... and what is formed from them in turn, or, by -ly or -ness, they from it; it is negated in the same way. Where the
-- evidence started is kept, for no word speaks for itself by way of its relatives.
CREATE OR REPLACE TEMP TABLE families AS
WITH RECURSIVE relatives AS (
    SELECT lang, form, parent AS other FROM kin UNION SELECT lang, parent, form FROM kin WHERE regular
), family AS (
    SELECT DISTINCT lang, form, affix, spelling, kind, base_form, form AS seed FROM supported
    UNION
    SELECT c.lang, c.form, c.affix, c.spelling, f.kind, c.base_form, f.seed
    FROM family f JOIN relatives k ON (k.lang, k.other) = (f.lang, f.form)
    JOIN possible c ON (c.lang, c.form, c.affix) = (k.lang, k.form, f.affix)
    WHERE CASE c.position WHEN 'prefix' THEN c.spelling = f.spelling ELSE c.base_form = f.base_form END
)
SELECT DISTINCT lang, form, affix, spelling, kind, base_form FROM family WHERE form <> seed;

CREATE OR REPLACE TEMP TABLE negations AS
WITH found AS (
    SELECT lang, form, affix, spelling, kind, base_form, unnest(evidence) AS evidence FROM supported
    UNION ALL SELECT lang, form, affix, spelling, kind, base_form, 'family' FROM families
), merged AS (
    SELECT lang, form, affix, spelling, base_form, list(DISTINCT kind) AS kinds,
           list_sort(list(DISTINCT evidence) FILTER (evidence <> 'antonyms')) AS evidence  -- antonym says it
    FROM found GROUP BY ALL
)
SELECT m.form AS word, m.lang, m.base_form AS base, m.affix, m.evidence,
       -- unlocked is what has been unlocked, but unchecked what has not been checked
       CASE WHEN p.is_verb AND p.reversible THEN 'reversal' ELSE list_min(kinds) END AS kind
FROM merged m
JOIN (SELECT lang, form, base_form, bool_or(is_verb) AS is_verb, bool_or(kind = 'reversal') AS reversible FROM possible GROUP BY ALL) p
    ON (p.lang, p.form, p.base_form) = (m.lang, m.form, m.base_form)
-- One base a word: the one with the most evidence, then the longest affix.
QUALIFY row_number() OVER (PARTITION BY m.form, m.lang ORDER BY len(m.evidence) DESC, length(m.spelling) DESC, m.affix, m.base_form) = 1;
