-- Senses of words that no edge touches: where an entry has a gloss and nothing else.
-- $pos VARCHAR = NULL: only this part of speech
-- $limit INTEGER = 50: rows at most
SELECT word, lang, pos, gloss, source FROM senses
WHERE ($pos IS NULL OR pos = $pos)
  AND (word, lang) NOT IN (SELECT word, lang FROM relations UNION SELECT related, lang FROM relations)
ORDER BY ALL LIMIT $limit;
