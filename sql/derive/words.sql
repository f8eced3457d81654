-- Which words of the graph carry an affix of the table, and what they are without it. A word is its form: Degas is not
-- degas, and takes no de- from gas.
-- Fills: graph_words (each form with its parts of speech), splits (a word, a rule, the rest), inflected (form, lemma),
-- attested (rests that are real word forms), candidates (splits whose rest is one, in a fitting part of speech).

-- Words, with all the parts of speech that any source gives them.
CREATE OR REPLACE TEMP TABLE graph_words AS
WITH word_pos AS (
    SELECT word AS form, lang, list(DISTINCT pos) AS parts FROM (
        SELECT word, lang, pos FROM senses UNION SELECT word, lang, pos FROM morphology WHERE source <> 'negation'
        UNION SELECT unnest([word, related]), lang, pos FROM relations
        WHERE source <> 'negation' AND kind IN ('synonym', 'antonym') AND pos IS NOT NULL
    ) WHERE pos IN ('noun', 'verb', 'adj', 'adv', 'name') GROUP BY ALL
)
SELECT w.lang, w.word AS form, p.parts FROM words w LEFT JOIN word_pos p ON (p.lang, p.form) = (w.lang, w.word);

CREATE OR REPLACE TEMP TABLE splits AS
SELECT w.lang, w.form, r.affix, r.spelling, r.restore, r.position, r.kind, CASE position
    -- Whether a hyphen follows a prefix (nonstop, non-stop) is a matter of taste.
    WHEN 'prefix' THEN r.restore || ltrim(substr(w.form, length(r.spelling) + 1), '-')
    ELSE left(w.form, length(w.form) - length(r.spelling)) || r.restore END AS base_form
FROM graph_words w
JOIN negation_rules r ON r.lang = w.lang AND length(w.form) >= length(r.spelling) + 2 AND NOT contains(w.form, ' ')
    AND CASE r.position WHEN 'prefix' THEN starts_with(w.form, r.spelling) ELSE ends_with(w.form, r.spelling) END;

-- The words of glosses that deny something: "not able to be seen", "without hope", "to remove lice from".
CREATE OR REPLACE TEMP TABLE denials AS
SELECT DISTINCT form, lang, pos, unnest(regexp_extract_all(said, '[\p{L}-]+')[:12]) AS said
FROM (
    SELECT word AS form, lang, pos, regexp_extract(gloss,
        '^(?i:(?:\([^)]*\) *)*'
        '(?:(?:an?|the|one|someone|something|any|who|that|which|is|was|to|of|in|by|with|manner|way|state|quality|condition|property|act|action|process|fact|being|characterized|marked|made|rendered|having been) )*'
        '(?:not|never|non|un|without|lacking|lacks?|free(?:d|ing)? (?:from|of)|absence|having no|has no|no|devoid|destitute|the opposite|opposite|inability|unable|incapable|failure|fails? to|impossible|cannot|can not|cause not'
        '|undo(?:es)?|undone|undoing|reverse|reversal|remov(?:e|es|ed|ing|al)|depriv(?:e|es|ed|ing)|deprivation|release from|take (?:off|away|from|out)|rid|cause to lose|loss|stop|cease|refus(?:e|al)|reject|cancel|make (?:not|un\w+|in\w+|im\w+)))\b(.*)', 1) AS said
    FROM senses
    WHERE (word, lang) IN (SELECT (form, lang) FROM splits)
      -- disease: "lack of ease" is obsolete
      AND NOT list_has_any(coalesce(tags, []), ['obsolete', 'archaic', 'historical', 'dated'])
)
WHERE said <> '';

-- Inflected forms, of what is split and of the rests: unlocked is a form of unlock, locked of lock.
CREATE OR REPLACE TEMP TABLE inflected AS
WITH forms AS (
    SELECT lang, form FROM splits UNION SELECT lang, base_form FROM splits UNION SELECT lang, said FROM denials
    -- relentingly needs relenting
    UNION SELECT s.lang, left(base_form, length(base_form) - length(suffix)) || instead_of
    FROM splits s JOIN suffix_rules r ON r.lang = s.lang AND r.regular AND ends_with(base_form, suffix)
), analyses AS (
    SELECT f.lang, f.form, i.pos, left(f.form, length(f.form) - length(i.ending)) || i.instead_of AS lemma
    FROM forms f JOIN inflection_endings i ON i.lang = f.lang AND ends_with(f.form, i.ending)
    UNION SELECT f.lang, f.form, i.pos, i.lemma FROM forms f JOIN irregular_forms i ON (i.lang, i.form) = (f.lang, f.form)
)
SELECT a.lang, a.form, a.lemma, a.pos, CASE
    WHEN a.pos <> 'verb' THEN [a.pos]
    WHEN ends_with(a.form, 'ing') THEN ['verb', 'adj', 'noun']
    WHEN ends_with(a.form, 's') THEN ['verb']
    ELSE ['verb', 'adj'] END AS parts  -- a participle can stand as an adjective
FROM analyses a JOIN graph_words g ON (g.lang, g.form) = (a.lang, a.lemma)
WHERE list_contains(g.parts, a.pos) AND a.form <> a.lemma AND length(a.lemma) >= 2;

-- -ly and -ness are as regular as an inflection: precedentedly needs precedented.
CREATE OR REPLACE TEMP TABLE regular AS
SELECT DISTINCT s.lang, s.base_form AS form, r.pos, left(s.base_form, length(s.base_form) - length(r.suffix)) || r.instead_of AS stem
FROM splits s JOIN suffix_rules r ON r.lang = s.lang AND r.regular AND ends_with(s.base_form, r.suffix);

CREATE OR REPLACE TEMP TABLE adjectives AS
SELECT lang, form FROM graph_words WHERE list_contains(parts, 'adj')
UNION SELECT lang, form FROM inflected WHERE list_contains(parts, 'adj');

CREATE OR REPLACE TEMP TABLE attested AS
WITH wanted AS (SELECT lang, form FROM splits UNION SELECT lang, base_form FROM splits),
forms AS (
    SELECT lang, form, parts FROM graph_words SEMI JOIN wanted USING (lang, form)
    UNION ALL SELECT lang, form, parts FROM inflected
    UNION ALL SELECT r.lang, r.form, [r.pos] FROM regular r JOIN adjectives a ON (a.lang, a.form) = (r.lang, r.stem)
)
SELECT lang, form, list_sort(list_distinct(flatten(list(coalesce(parts, []))))) AS parts
FROM forms GROUP BY lang, form;

CREATE OR REPLACE TEMP TABLE candidates AS
SELECT s.lang, s.form, s.affix, s.spelling, s.position, s.kind, s.base_form, b.parts AS base_parts,
       w.parts, r.pos
FROM splits s
JOIN negation_rules r USING (lang, affix, spelling, kind)
JOIN attested b ON (b.lang, b.form) = (s.lang, s.base_form)
JOIN attested w ON (w.lang, w.form) = (s.lang, s.form)
-- The parts of speech must fit, where they are known at all.
WHERE (len(w.parts) = 0 OR list_has_any(w.parts, r.pos)) AND (len(b.parts) = 0 OR list_has_any(b.parts, r.base_pos));
