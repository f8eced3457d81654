-- Pairs of words that are synonyms by some edge and antonyms by another.
-- $stated BOOLEAN = false: only where both are stated, none derived
-- $limit INTEGER = 50: rows at most
WITH said AS (FROM relations WHERE NOT ($stated AND source = 'negation'))
SELECT least(word, related) AS word, greatest(word, related) AS related, lang,
       list_sort(list(DISTINCT source) FILTER (kind = 'synonym')) AS synonyms_by,
       list_sort(list(DISTINCT source) FILTER (kind = 'antonym')) AS antonyms_by
FROM said WHERE kind IN ('synonym', 'antonym')
GROUP BY least(word, related), greatest(word, related), lang
HAVING synonyms_by IS NOT NULL AND antonyms_by IS NOT NULL
ORDER BY len(synonyms_by) + len(antonyms_by) DESC, 1, 2, 3 LIMIT $limit;
