-- The synonyms that two words have in common.
-- $word WORD: one word
-- $other WORD: the other
WITH ends AS (
    SELECT word, related, lang, source FROM relations WHERE kind = 'synonym'
    UNION ALL
    SELECT related, word, lang, source FROM relations WHERE kind = 'synonym'
),
of_word AS (SELECT e.related, e.lang, e.source FROM ends e JOIN words w USING (word, lang) WHERE w.key = $word),
of_other AS (SELECT e.related, e.lang, e.source FROM ends e JOIN words w USING (word, lang) WHERE w.key = $other)
SELECT related AS synonym, lang, list_sort(list(DISTINCT a.source)) AS sources,
       list_sort(list(DISTINCT b.source)) AS sources_of_other
FROM of_word a JOIN of_other b USING (related, lang) GROUP BY related, lang ORDER BY related, lang;
