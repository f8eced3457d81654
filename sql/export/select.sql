-- What is exported. Variables: kinds (of edges; NULL for all), lang (NULL for all), allowed (names of the sources whose
-- licences allow it; NULL for all). A row goes out if all the sources that it rests on are allowed.

CREATE OR REPLACE TEMP TABLE licences AS
SELECT name AS source, coalesce(nullif(trim(licence), ''), 'unknown') AS licence FROM sources;

CREATE OR REPLACE TEMP MACRO is_allowed(names) AS
    getvariable('allowed') IS NULL OR (len(names) > 0 AND list_has_all(getvariable('allowed')::VARCHAR[], names));
CREATE OR REPLACE TEMP MACRO is_wanted(lang) AS getvariable('lang') IS NULL OR lang = getvariable('lang');

CREATE OR REPLACE TEMP TABLE licence_lists AS
SELECT sources, list_sort(list(DISTINCT coalesce(licence, 'unknown'))) AS licences
FROM (SELECT sources, unnest(sources) AS source FROM (SELECT DISTINCT sources FROM edge_sources))
LEFT JOIN licences USING (source) GROUP BY sources;

CREATE OR REPLACE TEMP TABLE out_relations AS
SELECT r.id, r.word, r.related, r.lang, r.kind, r.pos, r.sense, s.gloss, r.note, r.tags, r.source,
       e.sources AS rests_on, coalesce(l.licences, ['unknown']) AS licences, r.rule, r.derived_from, r.negated
FROM relations r JOIN edge_sources e ON e.id = r.id
LEFT JOIN licence_lists l ON l.sources = e.sources
LEFT JOIN senses s ON s.id = r.sense
WHERE (getvariable('kinds') IS NULL OR list_contains(getvariable('kinds')::VARCHAR[], r.kind))
  AND is_wanted(r.lang) AND is_allowed(e.sources)
ORDER BY r.id;

CREATE OR REPLACE TEMP TABLE out_senses AS
SELECT s.id, s.word, s.lang, s.pos, s.gloss, s.tags, s.source, licence
FROM senses s LEFT JOIN licences l USING (source) WHERE is_wanted(s.lang) AND is_allowed([s.source]);

CREATE OR REPLACE TEMP TABLE out_morphology AS
SELECT m.*, list_sort(list_distinct(if(m.source = 'negation', [], [m.source]) || if(m.negates, coalesce(n.sources, []), [])))
       AS rests_on
FROM morphology m LEFT JOIN negation_sources n ON n.word = m.word AND n.lang = m.lang
WHERE is_wanted(m.lang) AND is_allowed(rests_on);

-- Some kinds only: then only the words that stand on an edge, and what is said of them.
CREATE OR REPLACE TEMP TABLE out_words AS
SELECT word, word_key(word) AS key, lang FROM (
    SELECT word, lang FROM out_relations UNION SELECT related, lang FROM out_relations
    UNION SELECT word, lang FROM out_senses WHERE getvariable('kinds') IS NULL
    UNION SELECT word, lang FROM out_morphology WHERE getvariable('kinds') IS NULL
)
ORDER BY lang, word;
DELETE FROM out_senses WHERE (word, lang) NOT IN (SELECT (word, lang) FROM out_words);
DELETE FROM out_morphology WHERE (word, lang) NOT IN (SELECT (word, lang) FROM out_words);

CREATE OR REPLACE TEMP TABLE out_sources AS
WITH stated AS (SELECT source, count(*) AS edges FROM out_relations WHERE source <> 'negation' GROUP BY 1),
derived AS (
    SELECT source, count(*) AS edges FROM (SELECT unnest(rests_on) AS source FROM out_relations WHERE source = 'negation')
    GROUP BY 1
), glosses AS (SELECT source, count(*) AS senses FROM out_senses GROUP BY 1),
segmented AS (SELECT source, count(*) AS rows FROM (SELECT unnest(rests_on) AS source FROM out_morphology) GROUP BY 1)
SELECT s.name, s.reader, s.revision, coalesce(l.licence, 'unknown') AS licence, s.url, s.files, s.sha256, s.tool,
       s.tool_version, s.ingested_at, coalesce(stated.edges, 0) AS edges, coalesce(derived.edges, 0) AS derived_edges,
       coalesce(glosses.senses, 0) AS senses, coalesce(segmented.rows, 0) AS morphology
FROM sources s JOIN licences l ON l.source = s.name
LEFT JOIN stated ON stated.source = s.name LEFT JOIN derived ON derived.source = s.name
LEFT JOIN glosses ON glosses.source = s.name LEFT JOIN segmented ON segmented.source = s.name
WHERE stated.edges > 0 OR derived.edges > 0 OR glosses.senses > 0 OR segmented.rows > 0;
