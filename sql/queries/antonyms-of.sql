-- The antonyms of a word, those that most sources give first.
-- $word WORD: the word
WITH spelled AS (SELECT word FROM words WHERE key = $word),
ends AS (
    SELECT r.related AS antonym, r.* FROM relations r WHERE r.word IN (FROM spelled)
    UNION ALL
    SELECT r.word, r.* FROM relations r WHERE r.related IN (FROM spelled)
)
SELECT antonym, lang, coalesce(list_sort(list(DISTINCT pos) FILTER (pos IS NOT NULL)), []) AS pos, list_sort(list(DISTINCT source)) AS sources,
       bool_and(source = 'negation') AS only_derived
FROM ends WHERE kind = 'antonym' GROUP BY antonym, lang ORDER BY len(sources) DESC, antonym, lang;
