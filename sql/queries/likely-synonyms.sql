-- Words that share synonyms with a word without being stated as its synonyms: candidates for an entry.
-- $word WORD: the word
-- $limit INTEGER = 20: rows at most
WITH ends AS (
    SELECT word, related, lang FROM relations WHERE kind = 'synonym'
    UNION
    SELECT related, word, lang FROM relations WHERE kind = 'synonym'
),
spelled AS (SELECT word FROM words WHERE key = $word),
mine AS (SELECT DISTINCT related AS word, lang FROM ends WHERE word IN (FROM spelled))
SELECT e.related AS candidate, lang, count(*) AS shared, list_sort(list(word)) AS through
FROM ends e JOIN mine USING (word, lang)
WHERE (e.related, lang) NOT IN (FROM mine) AND e.related NOT IN (FROM spelled)
GROUP BY e.related, lang ORDER BY shared DESC, candidate, lang LIMIT $limit;
