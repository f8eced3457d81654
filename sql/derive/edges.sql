-- Edges that follow from negation (DSKD 3.2). If w negates b:
--   antonym(b, w); synonym(w, x) gives antonym(b, x); antonym(w, x) gives synonym(b, x); two negated sides cancel.
-- Only stated edges are parents. Self loops are left out, and so is what a source states already or what contradicts a
-- source (a synonym where it states an antonym, or the reverse): a statement outranks an inference. So are synonyms that
-- one suffix leads to: what lacks a thing may be the opposite of a quality (cheerless - happy), but cheer is then no
-- synonym of happy. The paper's own derivation ('paper') has no such checks.

CREATE OR REPLACE TEMP TABLE negates AS
SELECT DISTINCT word, lang, base, affix FROM morphology WHERE negates;

CREATE OR REPLACE TEMP TABLE stated AS
SELECT id, word, related, lang, kind, pos, least(word, related) AS one, greatest(word, related) AS other
FROM relations WHERE kind IN ('synonym', 'antonym') AND source <> 'negation';

CREATE OR REPLACE TEMP TABLE parents AS
SELECT s.*, l.base AS left_base, l.affix AS left_affix, r.base AS right_base, r.affix AS right_affix
FROM stated s
LEFT JOIN negates l ON l.word = s.word AND l.lang = s.lang
LEFT JOIN negates r ON r.word = s.related AND r.lang = s.lang
WHERE l.base IS NOT NULL OR r.base IS NOT NULL;

CREATE OR REPLACE TEMP TABLE consequences AS
SELECT * EXCLUDE suffixes REPLACE (if(suffixes > 0, NULL, pos) AS pos),  -- a suffix changes the part of speech, a prefix does not
       suffixes = 1 AND kind = 'synonym' AS mixed,
       least(word, related) AS one, greatest(word, related) AS other
FROM (SELECT *, len(list_filter(string_split(rule, ' '), lambda affix: starts_with(affix, '-'))) AS suffixes FROM (
    SELECT left_base AS word, related, lang, opposite_kind(kind) AS kind, pos, left_affix AS rule, id AS derived_from, [word] AS negated
    FROM parents WHERE left_base IS NOT NULL
    UNION ALL
    SELECT word, right_base, lang, opposite_kind(kind), pos, right_affix, id, [related]
    FROM parents WHERE right_base IS NOT NULL
    UNION ALL
    SELECT left_base, right_base, lang, kind, pos, left_affix || ' ' || right_affix, id, [word, related]
    FROM parents WHERE left_base IS NOT NULL AND right_base IS NOT NULL
    UNION ALL
    SELECT base, word, lang, 'antonym', NULL, affix, NULL, [word] FROM morphology WHERE negates
));

CREATE OR REPLACE TEMP TABLE judged_edges AS
WITH edges AS (
    SELECT DISTINCT ON (id) * FROM (
        SELECT *, row_id(['negation', lang, word, related, kind, pos, rule, derived_from::VARCHAR, array_to_string(negated, ' ')]) AS id
        FROM consequences WHERE one <> other)
), statements AS (
    SELECT e.id, bool_or(s.kind = e.kind) AS same, bool_or(s.kind <> e.kind) AS opposite
    FROM edges e JOIN stated s ON (s.lang, s.one, s.other) = (e.lang, e.one, e.other) GROUP BY ALL
)
SELECT edges.*, CASE WHEN same THEN 'stated'
                     WHEN (opposite OR mixed) AND getvariable('negation') <> 'paper' THEN 'withheld' ELSE 'kept' END AS outcome
FROM edges LEFT JOIN statements USING (id);

CREATE OR REPLACE TEMP TABLE new_edges AS
SELECT id, word, related, lang, kind, pos, 'negation' AS source, rule, derived_from, negated FROM judged_edges WHERE outcome = 'kept';

DELETE FROM relations WHERE source = 'negation' AND id NOT IN (SELECT id FROM new_edges);
INSERT INTO relations BY NAME SELECT * FROM new_edges WHERE id NOT IN (SELECT id FROM relations);

DELETE FROM derivation WHERE negation <> getvariable('negation');
INSERT INTO derivation (negation) SELECT getvariable('negation') WHERE getvariable('negation') NOT IN (SELECT negation FROM derivation);
UPDATE derivation SET withheld = (SELECT count(*) FROM judged_edges WHERE outcome = 'withheld');
