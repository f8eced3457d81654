-- From the staging tables into the graph: one source replaced whole. Runs inside the writer's transaction.
-- Rows whose content did not change are left where they are, so running an ingest twice changes nothing.

CREATE OR REPLACE TEMP TABLE cleaned AS
SELECT *, row_id([getvariable('source'), lang, word, related, kind, pos, sense::VARCHAR, note]) AS id
FROM (
    SELECT *, CASE WHEN gloss <> '' THEN row_id([getvariable('source'), lang, word, pos, gloss]) END AS sense
    FROM (SELECT clean_word(word) AS word, clean_word(related) AS related, lang, kind, pos, trim(gloss) AS gloss,
                 nullif(trim(note), '') AS note, tags FROM staged_relations)
);

-- Each link gets exactly one outcome; the first reason that applies is the one that is counted.
CREATE OR REPLACE TEMP TABLE judged AS
SELECT *, CASE
    WHEN coalesce(word, '') = '' OR coalesce(related, '') = '' THEN 'empty'
    WHEN regexp_matches(related, '\{\{|\}\}|\[\[|\]\]|<[a-z/]') OR regexp_matches(word, '\{\{|\[\[') THEN 'markup left over'
    WHEN NOT regexp_matches(related, '[\p{L}\p{N}]') OR NOT regexp_matches(word, '[\p{L}\p{N}]') THEN 'no letter or digit'
    WHEN length(related) > 100 OR length(word) > 100 THEN 'longer than 100 characters'
    WHEN word_key(word) = word_key(related) THEN 'self loop'
    WHEN row_number() OVER (PARTITION BY id) > 1 THEN 'repeated'
    ELSE 'kept' END AS outcome
FROM cleaned;

CREATE OR REPLACE TEMP TABLE new_senses AS
SELECT row_id([getvariable('source'), lang, word, pos, gloss]) AS id, word, lang, pos, gloss, any_value(tags) AS tags, getvariable('source') AS source
FROM (SELECT clean_word(word) AS word, lang, pos, trim(gloss) AS gloss, tags FROM staged_senses WHERE trim(gloss) <> '')
WHERE word <> ''
GROUP BY ALL;

CREATE OR REPLACE TEMP TABLE new_relations AS
SELECT id, word, related, lang, kind, pos, sense, note, tags, getvariable('source') AS source FROM judged WHERE outcome = 'kept';

DELETE FROM senses WHERE source = getvariable('source') AND id NOT IN (SELECT id FROM new_senses);
INSERT INTO senses BY NAME SELECT * FROM new_senses WHERE id NOT IN (SELECT id FROM senses);

DELETE FROM relations WHERE source = getvariable('source') AND id NOT IN (SELECT id FROM new_relations);
INSERT INTO relations BY NAME SELECT * FROM new_relations WHERE id NOT IN (SELECT id FROM relations);

DELETE FROM morphology WHERE source = getvariable('source');
INSERT INTO morphology BY NAME
SELECT DISTINCT clean_word(word) AS word, lang, pos, segmentation, prefixes, roots, suffixes, getvariable('source') AS source
FROM staged_morphology;
