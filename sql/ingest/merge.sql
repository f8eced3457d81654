-- From the staging tables into the graph: one source replaced whole. Runs inside the writer's transaction.
-- Rows whose content did not change are left where they are, so running an ingest twice changes nothing.

-- Each word once, as it stands there and cleaned, with the reason to drop a link to it, if any.
CREATE OR REPLACE TEMP TABLE staged_words AS
SELECT raw, word, CASE
    WHEN word = '' THEN 'empty'
    WHEN regexp_matches(word, '\{\{|\}\}|\[\[|\]\]|<[a-z/]') THEN 'markup left over'
    WHEN NOT regexp_matches(word, '[\p{L}\p{N}]') THEN 'no letter or digit'
    WHEN length(word) > 100 THEN 'longer than 100 characters' END AS reason
FROM (SELECT raw, clean_word(raw) AS word FROM (
    SELECT word AS raw FROM staged_relations UNION SELECT related FROM staged_relations UNION SELECT word FROM staged_senses)
    WHERE raw IS NOT NULL);

-- A part of speech that is an empty text is none.
UPDATE staged_senses SET pos = nullif(trim(pos), '') WHERE pos IS DISTINCT FROM nullif(trim(pos), '');
UPDATE staged_relations SET pos = nullif(trim(pos), '') WHERE pos IS DISTINCT FROM nullif(trim(pos), '');

CREATE OR REPLACE TEMP TABLE new_senses AS
SELECT row_id([getvariable('source'), s.lang, w.word, s.pos, trim(s.gloss)]) AS id, w.word, s.lang, s.pos, trim(s.gloss) AS gloss,
       all_tags(list(s.tags)) AS tags, getvariable('source') AS source, sum(coalesce(s.times, 1)) AS times
FROM staged_senses s JOIN staged_words w ON w.raw = s.word
WHERE trim(s.gloss) <> '' AND w.word <> ''
GROUP BY w.word, s.lang, s.pos, trim(s.gloss);

-- The first reason that applies counts.
CREATE OR REPLACE TEMP TABLE cleaned AS
SELECT row_id([getvariable('source'), lang, word, related, kind, pos, sense::VARCHAR, note]) AS id, * FROM (
    SELECT a.word, b.word AS related, s.lang, s.kind, s.pos, nullif(trim(s.note), '') AS note, s.tags, coalesce(s.times, 1) AS times,
           CASE WHEN trim(s.gloss) <> '' THEN row_id([getvariable('source'), s.lang, a.word, s.pos, trim(s.gloss)]) END AS sense,
           coalesce(if(a.raw IS NULL OR b.raw IS NULL, 'empty', coalesce(a.reason, b.reason)), if(a.word = b.word, 'self loop', NULL)) AS reason
    FROM staged_relations s LEFT JOIN staged_words a ON a.raw = s.word LEFT JOIN staged_words b ON b.raw = s.related);

-- What became of each row: for links and senses, read = kept + dropped by reason.
CREATE OR REPLACE TEMP TABLE merge_outcomes AS
SELECT 'links' AS unit, reason AS outcome, sum(times) AS times FROM cleaned WHERE reason IS NOT NULL GROUP BY ALL
UNION ALL SELECT 'links', unnest(['kept', 'repeated']), unnest([count(DISTINCT id), sum(times) - count(DISTINCT id)]) FROM cleaned WHERE reason IS NULL
UNION ALL SELECT 'senses', unnest(['kept', 'repeated']), unnest([count(*), sum(times) - count(*)]) FROM new_senses
UNION ALL SELECT 'senses', if(coalesce(trim(gloss), '') = '', 'no gloss', 'no word'), sum(coalesce(times, 1))
          FROM staged_senses s LEFT JOIN staged_words w ON w.raw = s.word
          WHERE coalesce(trim(gloss), '') = '' OR coalesce(w.word, '') = '' GROUP BY ALL
-- How many distinct words each rule of clean_word has mended.
UNION ALL SELECT 'words mended', rule.name, count(*)
          FROM (SELECT unnest(word_repairs(raw)) AS rule FROM staged_words WHERE raw <> word) WHERE rule.applies GROUP BY ALL;

DROP TABLE staged_relations;
DROP TABLE staged_senses;

-- Most links stand there once; only those that repeat have tags to gather.
CREATE OR REPLACE TEMP TABLE repeated AS SELECT id FROM cleaned WHERE reason IS NULL GROUP BY id HAVING count(*) > 1;

CREATE OR REPLACE TEMP TABLE new_relations AS
SELECT id, word, related, lang, kind, pos, sense, note, if(tags IS NULL, NULL, all_tags([tags])) AS tags
FROM cleaned ANTI JOIN repeated USING (id) WHERE reason IS NULL
UNION ALL
SELECT id, first(word), first(related), first(lang), first(kind), first(pos), first(sense), first(note), all_tags(list(tags))
FROM cleaned SEMI JOIN repeated USING (id) WHERE reason IS NULL GROUP BY id;

DROP TABLE cleaned;

DELETE FROM senses WHERE source = getvariable('source') AND id NOT IN (SELECT id FROM new_senses);
UPDATE senses s SET tags = n.tags FROM new_senses n WHERE n.id = s.id AND n.tags IS DISTINCT FROM s.tags;
INSERT INTO senses BY NAME SELECT * EXCLUDE times FROM new_senses ANTI JOIN senses USING (id);

DELETE FROM relations WHERE source = getvariable('source') AND id NOT IN (SELECT id FROM new_relations);
UPDATE relations r SET tags = n.tags FROM new_relations n WHERE n.id = r.id AND n.tags IS DISTINCT FROM r.tags;
INSERT INTO relations BY NAME SELECT *, getvariable('source') AS source FROM new_relations ANTI JOIN relations USING (id);

DROP TABLE new_senses;
DROP TABLE new_relations;

DELETE FROM morphology WHERE source = getvariable('source');
INSERT INTO morphology BY NAME
SELECT DISTINCT clean_word(word) AS word, lang, pos, segmentation, prefixes, roots, suffixes, getvariable('source') AS source
FROM staged_morphology;
