-- Which words of the graph carry an affix of the table, and what they are without it.
-- Fills: graph_words (each key with its parts of speech), splits (a word, a rule, the rest), inflected (form, lemma),
-- attested (rests that are real word forms), candidates (splits whose rest is one, in a fitting part of speech).

-- Words by key, with all the parts of speech that any source gives them.
CREATE OR REPLACE TEMP TABLE graph_words AS
WITH word_pos AS (
    SELECT word_key(word) AS key, lang, list(DISTINCT pos) AS parts FROM (
        SELECT word, lang, pos FROM senses UNION SELECT word, lang, pos FROM morphology WHERE source <> 'negation'
        UNION SELECT unnest([word, related]), lang, pos FROM relations
        WHERE source <> 'negation' AND kind IN ('synonym', 'antonym') AND pos IS NOT NULL
    ) WHERE pos IN ('noun', 'verb', 'adj', 'adv', 'name') GROUP BY ALL
)
SELECT lang, key, min_by(word, (word <> key, word)) AS word, any_value(parts) AS parts
FROM words LEFT JOIN word_pos USING (lang, key) GROUP BY lang, key;

CREATE OR REPLACE TEMP TABLE splits AS
SELECT w.lang, w.key, r.affix, r.spelling, r.restore, r.position, r.kind, CASE position
    -- Whether a hyphen follows a prefix (nonstop, non-stop) is a matter of taste.
    WHEN 'prefix' THEN r.restore || ltrim(substr(w.key, length(r.spelling) + 1), '-')
    ELSE left(w.key, length(w.key) - length(r.spelling)) || r.restore END AS base_key
FROM graph_words w
JOIN negation_rules r ON r.lang = w.lang AND length(w.key) >= length(r.spelling) + 2 AND NOT contains(w.key, ' ')
    AND CASE r.position WHEN 'prefix' THEN starts_with(w.key, r.spelling) ELSE ends_with(w.key, r.spelling) END;

-- The words of glosses that deny something: "not able to be seen", "without hope", "to remove lice from".
CREATE OR REPLACE TEMP TABLE denials AS
SELECT DISTINCT key, lang, pos, unnest(regexp_extract_all(said, '[\p{L}-]+')[:12]) AS said
FROM (
    SELECT word_key(word) AS key, lang, pos, regexp_extract(lower(gloss),
        '^(?:\([^)]*\) *)*'
        '(?:(?:an?|the|one|someone|something|any|who|that|which|is|was|to|of|in|by|with|manner|way|state|quality|condition|property|act|action|process|fact|being|characterized|marked|made|rendered|having been) )*'
        '(?:not|never|non|un|without|lacking|lacks?|free(?:d|ing)? (?:from|of)|absence|having no|has no|no|devoid|destitute|the opposite|opposite|inability|unable|incapable|failure|fails? to|impossible|cannot|can not|cause not'
        '|undo(?:es)?|undone|undoing|reverse|reversal|remov(?:e|es|ed|ing|al)|depriv(?:e|es|ed|ing)|deprivation|release from|take (?:off|away|from|out)|rid|cause to lose|loss|stop|cease|refus(?:e|al)|reject|cancel|make (?:not|un\w+|in\w+|im\w+))\b(.*)', 1) AS said
    FROM senses
    WHERE (word_key(word), lang) IN (SELECT (key, lang) FROM splits)
      -- disease: "lack of ease" is obsolete
      AND NOT list_has_any(coalesce(tags, []), ['obsolete', 'archaic', 'historical', 'dated'])
)
WHERE said <> '';

-- Inflected forms, of what is split and of the rests: unlocked is a form of unlock, locked of lock.
CREATE OR REPLACE TEMP TABLE inflected AS
WITH forms AS (
    SELECT lang, key FROM splits UNION SELECT lang, base_key FROM splits UNION SELECT lang, said FROM denials
    -- relentingly needs relenting
    UNION SELECT s.lang, left(base_key, length(base_key) - length(suffix)) || instead_of
    FROM splits s JOIN suffix_rules r ON r.lang = s.lang AND r.regular AND ends_with(base_key, suffix)
), analyses AS (
    SELECT f.lang, f.key, i.pos, left(f.key, length(f.key) - length(i.ending)) || i.instead_of AS lemma
    FROM forms f JOIN inflection_endings i ON i.lang = f.lang AND ends_with(f.key, i.ending)
    UNION SELECT f.lang, f.key, i.pos, i.lemma FROM forms f JOIN irregular_forms i ON (i.lang, i.form) = (f.lang, f.key)
)
SELECT a.lang, a.key, a.lemma, a.pos, CASE
    WHEN a.pos <> 'verb' THEN [a.pos]
    WHEN ends_with(a.key, 'ing') THEN ['verb', 'adj', 'noun']
    WHEN ends_with(a.key, 's') THEN ['verb']
    ELSE ['verb', 'adj'] END AS parts  -- a participle can stand as an adjective
FROM analyses a JOIN graph_words g ON (g.lang, g.key) = (a.lang, a.lemma)
WHERE list_contains(g.parts, a.pos) AND a.key <> a.lemma AND length(a.lemma) >= 2;

-- -ly and -ness are as regular as an inflection: precedentedly needs precedented.
CREATE OR REPLACE TEMP TABLE regular AS
SELECT DISTINCT s.lang, s.base_key AS key, r.pos, left(s.base_key, length(s.base_key) - length(r.suffix)) || r.instead_of AS stem
FROM splits s JOIN suffix_rules r ON r.lang = s.lang AND r.regular AND ends_with(s.base_key, r.suffix);

CREATE OR REPLACE TEMP TABLE adjectives AS
SELECT lang, key FROM graph_words WHERE list_contains(parts, 'adj')
UNION SELECT lang, key FROM inflected WHERE list_contains(parts, 'adj');

CREATE OR REPLACE TEMP TABLE attested AS
WITH wanted AS (SELECT lang, key FROM splits UNION SELECT lang, base_key FROM splits),
forms AS (
    SELECT lang, key, word, parts, true AS stated FROM graph_words SEMI JOIN wanted USING (lang, key)
    UNION ALL SELECT lang, key, key, parts, false FROM inflected
    UNION ALL SELECT r.lang, r.key, r.key, [r.pos], false FROM regular r JOIN adjectives a ON (a.lang, a.key) = (r.lang, r.stem)
)
SELECT lang, key, min_by(word, (NOT stated, word)) AS word,
       list_sort(list_distinct(flatten(list(coalesce(parts, []))))) AS parts
FROM forms GROUP BY lang, key;

CREATE OR REPLACE TEMP TABLE candidates AS
SELECT s.lang, s.key, s.affix, s.spelling, s.position, s.kind, s.base_key, b.word AS base, b.parts AS base_parts,
       w.parts, r.pos
FROM splits s
JOIN negation_rules r USING (lang, affix, spelling, kind)
JOIN attested b ON (b.lang, b.key) = (s.lang, s.base_key)
JOIN attested w ON (w.lang, w.key) = (s.lang, s.key)
-- The parts of speech must fit, where they are known at all.
WHERE (len(w.parts) = 0 OR list_has_any(w.parts, r.pos)) AND (len(b.parts) = 0 OR list_has_any(b.parts, r.base_pos));
