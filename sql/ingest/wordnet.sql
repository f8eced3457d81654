-- From one wordnet (tables wordnet_synsets, wordnet_members, wordnet_pointers) to staged senses and links.

-- The relations that are kept, each in one direction: what a pointer says from its other end is the same edge.
CREATE OR REPLACE TEMP TABLE wordnet_relations AS
FROM (VALUES
    ('antonym',           'antonym',           false, 'antonym',  NULL),
    ('hypernym',          'hypernym',          false, 'hypernym', NULL),
    ('hyponym',           'hypernym',          true,  'hypernym', NULL),
    ('instance_hypernym', 'instance_hypernym', false, 'hypernym', 'instance'),
    ('instance_hyponym',  'instance_hypernym', true,  'hypernym', 'instance'),
    ('meronym',           'meronym',           false, 'meronym',  NULL),
    ('holonym',           'meronym',           true,  'meronym',  NULL),
    ('mero_member',       'mero_member',       false, 'meronym',  'member'),
    ('holo_member',       'mero_member',       true,  'meronym',  'member'),
    ('mero_part',         'mero_part',         false, 'meronym',  'part'),
    ('holo_part',         'mero_part',         true,  'meronym',  'part'),
    ('mero_substance',    'mero_substance',    false, 'meronym',  'substance'),
    ('holo_substance',    'mero_substance',    true,  'meronym',  'substance'),
    ('mero_portion',      'mero_portion',      false, 'meronym',  'portion'),
    ('holo_portion',      'mero_portion',      true,  'meronym',  'portion'),
    ('mero_location',     'mero_location',     false, 'meronym',  'location'),
    ('holo_location',     'mero_location',     true,  'meronym',  'location'),
    ('derivation',        'derivation',        false, 'derived',  NULL)
) AS relations(stated, relation, inverted, kind, tag);

CREATE OR REPLACE TEMP TABLE wordnet_turned AS
SELECT coalesce(relation, stated) AS relation, kind, tag, coalesce(inverted, false) AS inverted,
       CASE WHEN inverted THEN target ELSE key END AS key,
       CASE WHEN inverted THEN target_number ELSE number END AS number,
       CASE WHEN inverted THEN key ELSE target END AS target,
       CASE WHEN inverted THEN number ELSE target_number END AS target_number
FROM wordnet_pointers LEFT JOIN wordnet_relations USING (stated);

CREATE OR REPLACE TEMP TABLE wordnet_judged AS
SELECT p.*, CASE
    WHEN kind IS NULL THEN 'not a relation we keep: ' || relation
    WHEN a.key IS NULL OR b.key IS NULL OR number > a.words OR target_number > b.words THEN 'no such synset or word'
    WHEN row_number() OVER (
        PARTITION BY relation, p.key, number, target, target_number ORDER BY inverted) > 1 THEN 'stated already'
    ELSE 'kept' END AS outcome
FROM wordnet_turned p
LEFT JOIN wordnet_synsets a ON a.key = p.key
LEFT JOIN wordnet_synsets b ON b.key = p.target;

CREATE OR REPLACE TEMP TABLE wordnet_senses AS
SELECT key, number, word, tags, id, pos, gloss FROM wordnet_members JOIN wordnet_synsets USING (key);

INSERT INTO staged_senses BY NAME
SELECT word, getvariable('lang') AS lang, pos, gloss, tags FROM wordnet_senses;

-- All members of a synset are each other's synonyms; each pair is stated once, from the earlier member.
INSERT INTO staged_relations BY NAME
SELECT a.word, b.word AS related, getvariable('lang') AS lang, 'synonym' AS kind, a.pos, a.gloss, a.id AS note
FROM wordnet_senses a JOIN wordnet_senses b ON b.key = a.key AND b.number > a.number;

-- A pointer between words joins these alone; one between synsets joins every member of one to every member of the other.
INSERT INTO staged_relations BY NAME
SELECT a.word, b.word AS related, getvariable('lang') AS lang, kind, a.pos, a.gloss, a.id || ' -> ' || b.id AS note,
       CASE WHEN tag IS NOT NULL THEN [tag] END AS tags
FROM wordnet_judged p
JOIN wordnet_senses a ON a.key = p.key AND p.number IN (0, a.number)
JOIN wordnet_senses b ON b.key = p.target AND p.target_number IN (0, b.number)
WHERE outcome = 'kept';
