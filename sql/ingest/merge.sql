-- From the staging tables into the graph: one source replaced whole. Runs inside the writer's transaction.
-- Rows whose content did not change are left where they are, so running an ingest twice changes nothing.

-- Each distinct link once, cleaned, with the reason to drop it, if any: the first that applies counts.
CREATE OR REPLACE TEMP TABLE cleaned AS
SELECT *, row_id([getvariable('source'), lang, word, related, kind, pos, sense::VARCHAR, note]) AS id, CASE
    WHEN coalesce(word, '') = '' OR coalesce(related, '') = '' THEN 'empty'
    WHEN regexp_matches(related, '\{\{|\}\}|\[\[|\]\]|<[a-z/]') OR regexp_matches(word, '\{\{|\[\[') THEN 'markup left over'
    WHEN NOT regexp_matches(related, '[\p{L}\p{N}]') OR NOT regexp_matches(word, '[\p{L}\p{N}]') THEN 'no letter or digit'
    WHEN length(related) > 100 OR length(word) > 100 THEN 'longer than 100 characters'
    WHEN word_key(word) = word_key(related) THEN 'self loop' END AS reason
FROM (
    SELECT *, CASE WHEN gloss <> '' THEN row_id([getvariable('source'), lang, word, pos, gloss]) END AS sense
    FROM (SELECT clean_word(word) AS word, clean_word(related) AS related, lang, kind, pos, trim(gloss) AS gloss,
                 nullif(trim(note), '') AS note, tags, sum(coalesce(times, 1)) AS times
          FROM staged_relations GROUP BY ALL)
);

CREATE OR REPLACE TEMP TABLE new_relations AS
SELECT id, min(word) AS word, min(related) AS related, min(lang) AS lang, min(kind) AS kind, min(pos) AS pos,
       min(sense) AS sense, min(note) AS note, all_tags(list(tags)) AS tags, getvariable('source') AS source, sum(times) AS times
FROM cleaned WHERE reason IS NULL GROUP BY id;

CREATE OR REPLACE TEMP TABLE new_senses AS
SELECT row_id([getvariable('source'), lang, word, pos, gloss]) AS id, word, lang, pos, gloss,
       all_tags(list(tags)) AS tags, getvariable('source') AS source, sum(times) AS times
FROM (SELECT clean_word(word) AS word, lang, pos, trim(gloss) AS gloss, tags, coalesce(times, 1) AS times FROM staged_senses)
WHERE gloss <> '' AND word <> ''
GROUP BY word, lang, pos, gloss;

DELETE FROM senses WHERE source = getvariable('source') AND id NOT IN (SELECT id FROM new_senses);
UPDATE senses s SET tags = n.tags FROM new_senses n WHERE n.id = s.id AND n.tags IS DISTINCT FROM s.tags;
INSERT INTO senses BY NAME SELECT * EXCLUDE times FROM new_senses WHERE id NOT IN (SELECT id FROM senses);

DELETE FROM relations WHERE source = getvariable('source') AND id NOT IN (SELECT id FROM new_relations);
UPDATE relations r SET tags = n.tags FROM new_relations n WHERE n.id = r.id AND n.tags IS DISTINCT FROM r.tags;
INSERT INTO relations BY NAME SELECT * EXCLUDE times FROM new_relations WHERE id NOT IN (SELECT id FROM relations);

DELETE FROM morphology WHERE source = getvariable('source');
INSERT INTO morphology BY NAME
SELECT DISTINCT clean_word(word) AS word, lang, pos, segmentation, prefixes, roots, suffixes, getvariable('source') AS source
FROM staged_morphology;

-- What became of each row: for links and senses, read = kept + dropped by reason.
CREATE OR REPLACE TEMP TABLE merge_outcomes AS
SELECT 'links' AS unit, reason AS outcome, sum(times) AS times FROM cleaned WHERE reason IS NOT NULL GROUP BY ALL
UNION ALL SELECT 'links', unnest(['kept', 'repeated']), unnest([count(*), sum(times) - count(*)]) FROM new_relations
UNION ALL SELECT 'senses', unnest(['kept', 'repeated']), unnest([count(*), sum(times) - count(*)]) FROM new_senses
UNION ALL SELECT 'senses', if(coalesce(trim(gloss), '') = '', 'no gloss', 'no word'), sum(coalesce(times, 1)) FROM staged_senses
          WHERE coalesce(trim(gloss), '') = '' OR coalesce(clean_word(word), '') = '' GROUP BY ALL;

-- How many words each rule of clean_word has mended, one word of a distinct link a time.
INSERT INTO merge_outcomes
SELECT 'words mended', rule.name, count(*)
FROM (SELECT unnest(word_repairs(raw)) AS rule FROM (
    SELECT unnest([word, related]) AS raw FROM (SELECT DISTINCT word, related, kind, pos FROM staged_relations)))
WHERE rule.applies GROUP BY ALL;
