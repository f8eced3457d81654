-- Edges that follow from negation (DSKD 3.2). If w negates b:
--   antonym(b, w); synonym(w, x) gives antonym(b, x); antonym(w, x) gives synonym(b, x); two negated sides cancel.
-- Only stated edges are parents. Self loops and what a source states already are left out.

CREATE OR REPLACE TEMP TABLE negates AS
SELECT DISTINCT word_key(word) AS key, lang, base, affix FROM morphology WHERE negates;

CREATE OR REPLACE TEMP TABLE stated AS
SELECT id, word, related, lang, kind, pos FROM relations WHERE kind IN ('synonym', 'antonym') AND source <> 'negation';

CREATE OR REPLACE TEMP TABLE parents AS
SELECT s.*, l.base AS left_base, l.affix AS left_affix, r.base AS right_base, r.affix AS right_affix
FROM stated s
LEFT JOIN negates l ON l.key = word_key(s.word) AND l.lang = s.lang
LEFT JOIN negates r ON r.key = word_key(s.related) AND r.lang = s.lang
WHERE l.base IS NOT NULL OR r.base IS NOT NULL;

CREATE OR REPLACE TEMP TABLE consequences AS
SELECT left_base AS word, related, lang, opposite_kind(kind) AS kind, pos, left_affix AS rule, id AS derived_from, [word] AS negated
FROM parents WHERE left_base IS NOT NULL
UNION ALL
SELECT word, right_base, lang, opposite_kind(kind), pos, right_affix, id, [related]
FROM parents WHERE right_base IS NOT NULL
UNION ALL
SELECT left_base, right_base, lang, kind, pos, left_affix || ' ' || right_affix, id, [word, related]
FROM parents WHERE left_base IS NOT NULL AND right_base IS NOT NULL
UNION ALL
SELECT base, word, lang, 'antonym', NULL, affix, NULL, [word] FROM morphology WHERE negates;

CREATE OR REPLACE TEMP TABLE new_edges AS
SELECT DISTINCT ON (id) row_id(['negation', lang, word, related, kind, pos, rule, derived_from::VARCHAR, array_to_string(negated, ' ')]) AS id,
       word, related, lang, kind, pos, 'negation' AS source, rule, derived_from, negated
FROM consequences c
WHERE word_key(word) <> word_key(related)
  AND NOT EXISTS (
    FROM stated s WHERE s.kind = c.kind AND s.lang = c.lang
      AND least(word_key(s.word), word_key(s.related)) = least(word_key(c.word), word_key(c.related))
      AND greatest(word_key(s.word), word_key(s.related)) = greatest(word_key(c.word), word_key(c.related)));

DELETE FROM relations WHERE source = 'negation' AND id NOT IN (SELECT id FROM new_edges);
INSERT INTO relations BY NAME SELECT * FROM new_edges WHERE id NOT IN (SELECT id FROM relations);
