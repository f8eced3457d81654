-- On which sources each edge and each segmentation rests, so that their licences can be told.
-- A derived edge rests on the source of its parent and on every source whose data carried the negation.

CREATE OR REPLACE TEMP TABLE negated_words AS
SELECT DISTINCT word, lang, base, affix, unnest(evidence) AS evidence
FROM morphology WHERE negates;

CREATE OR REPLACE TEMP TABLE evidence_sources AS
-- A table cuts the word (the blind stripping of the papers reads the same tables).
SELECT n.word, n.lang, m.source FROM negated_words n JOIN morphology m ON m.word = n.word AND m.lang = n.lang
WHERE n.evidence IN ('segmentation', 'stripping') AND m.source <> 'negation'
UNION
SELECT n.word, n.lang, s.source FROM negated_words n JOIN senses s ON s.word = n.word AND s.lang = n.lang
WHERE n.evidence = 'gloss'
UNION
SELECT n.word, n.lang, r.source
FROM negated_words n JOIN (
    SELECT word AS one, related AS other, lang, source FROM relations
    WHERE kind = 'antonym' AND source <> 'negation'
    UNION SELECT related, word, lang, source FROM relations
    WHERE kind = 'antonym' AND source <> 'negation'
) r ON r.one = n.word AND r.other = n.base AND r.lang = n.lang
WHERE n.evidence = 'antonym'
UNION
-- Any other evidence (a fitting base) rests on what is known of the word and of its base, whoever says it.
SELECT n.word, n.lang, m.source
FROM (SELECT word, lang, evidence, unnest([word, base]) AS known FROM negated_words) n JOIN (
    SELECT word, lang, source FROM senses UNION SELECT word, lang, source FROM morphology
    UNION SELECT word, lang, source FROM relations UNION SELECT related, lang, source FROM relations
) m ON m.word = n.known AND m.lang = n.lang
WHERE n.evidence NOT IN ('segmentation', 'stripping', 'gloss', 'antonym', 'family') AND m.source <> 'negation';

-- A word that negates because the word it is formed from does: which one is not on record, only that it has the same
-- affix, so it may rest on whatever any negation by this affix rests on.
CREATE OR REPLACE TEMP TABLE family_sources AS
SELECT DISTINCT f.word, f.lang, e.source
FROM (SELECT DISTINCT word, lang, affix FROM negated_words WHERE evidence = 'family') f
JOIN (SELECT DISTINCT n.affix, n.lang, e.source FROM negated_words n JOIN evidence_sources e USING (word, lang)) e
  ON e.affix = f.affix AND e.lang = f.lang;

CREATE OR REPLACE TEMP TABLE negation_sources AS
SELECT word, lang, list_sort(list(DISTINCT source)) AS sources
FROM (FROM evidence_sources UNION FROM family_sources)
GROUP BY word, lang;

CREATE OR REPLACE TEMP TABLE edge_sources AS
SELECT id, [source] AS sources FROM relations WHERE source <> 'negation'
UNION ALL
SELECT id, list_sort(list(DISTINCT source) FILTER (source IS NOT NULL)) AS sources
FROM (
    SELECT d.id, p.source FROM relations d LEFT JOIN relations p ON p.id = d.derived_from WHERE d.source = 'negation'
    UNION ALL
    SELECT d.id, unnest(n.sources)
    FROM (SELECT id, lang, unnest(negated) AS word FROM relations WHERE source = 'negation') d
    JOIN negation_sources n ON n.word = d.word AND n.lang = d.lang
)
GROUP BY id;
