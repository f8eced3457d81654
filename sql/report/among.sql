-- Synonym and antonym pairs among some words of a language, each once for each kind.
-- words: the words
-- lang: relations.lang
SELECT DISTINCT least(word, related) AS word, greatest(word, related) AS related, kind
FROM relations
WHERE lang = $lang AND word IN (SELECT unnest($words)) AND related IN (SELECT unnest($words)) AND kind IN ('synonym', 'antonym')
  AND word <> related
ORDER BY ALL;
