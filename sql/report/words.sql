-- Words worth a picture: well connected by synonyms and antonyms, in several sources, best first.
WITH ends AS (
    SELECT word, related, lang, kind, source FROM relations WHERE kind IN ('synonym', 'antonym')
    UNION ALL SELECT related, word, lang, kind, source FROM relations WHERE kind IN ('synonym', 'antonym')
), counted AS (
    SELECT word, lang, count(DISTINCT related) FILTER (kind = 'synonym') AS synonyms,
           count(DISTINCT related) FILTER (kind = 'antonym') AS antonyms, count(DISTINCT source) AS sources
    FROM ends GROUP BY word, lang
)
SELECT word, lang FROM counted
ORDER BY sources * (ln(1 + least(synonyms, 60)) + 2 * ln(1 + least(antonyms, 30))) DESC, synonyms + antonyms DESC, word, lang
LIMIT 200;
