-- The antonyms of a word, those that most sources give first.
-- $word WORD: the word
WITH spelled AS (SELECT word FROM words WHERE key = $word),
ends AS (
    SELECT word, related AS antonym, lang, kind, pos, source FROM relations WHERE word IN (FROM spelled)
    UNION ALL
    SELECT related, word, lang, kind, pos, source FROM relations WHERE related IN (FROM spelled)
)
SELECT antonym, lang, word AS of, coalesce(list_sort(list(DISTINCT pos) FILTER (pos IS NOT NULL)), []) AS pos,
       list_sort(list(DISTINCT source)) AS sources, bool_and(source = 'negation') AS only_derived
FROM ends WHERE kind = 'antonym' GROUP BY word, lang, antonym ORDER BY word, lang, len(sources) DESC, antonym;
