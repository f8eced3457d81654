-- Synonym and antonym pairs among some words, each once for each kind.
-- words: their spellings.
SELECT DISTINCT least(word, related) AS word, greatest(word, related) AS related, kind
FROM relations
WHERE word IN (SELECT unnest($words)) AND related IN (SELECT unnest($words)) AND kind IN ('synonym', 'antonym')
  AND word <> related
ORDER BY ALL;
