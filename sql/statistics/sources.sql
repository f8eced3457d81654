-- What each source holds: words (and those that no other source mentions), senses, segmented words, edges.
WITH mentions AS (
    SELECT source, word, lang FROM senses UNION SELECT source, word, lang FROM morphology
    UNION SELECT source, word, lang FROM relations UNION SELECT source, related, lang FROM relations
), sources_of_words AS (
    SELECT list(source) AS sources FROM mentions WHERE source <> 'negation' GROUP BY word, lang
), words_of_sources AS (
    SELECT source, count(*) AS words, count(*) FILTER (len(sources) = 1) AS words_only_here
    FROM (SELECT unnest(sources) AS source, sources FROM sources_of_words) GROUP BY source
)
SELECT s.name AS source, coalesce(w.words, 0) AS words, coalesce(w.words_only_here, 0) AS words_only_here,
       (SELECT count(*) FROM senses WHERE source = s.name) AS senses,
       (SELECT count(DISTINCT (word, lang)) FROM morphology WHERE source = s.name) AS segmented,
       (SELECT count(*) FROM relations WHERE source = s.name) AS edges
FROM sources s LEFT JOIN words_of_sources w ON w.source = s.name
ORDER BY s.name;
