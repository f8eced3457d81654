-- The spellings of a word, and whether a source states a sense or a relation of it.
-- word: the word in NFC; case does not count
WITH spelled AS (SELECT key, word, lang FROM words WHERE key = word_key($word))
SELECT key, list_sort(list(DISTINCT word)) AS words,
       EXISTS (FROM senses SEMI JOIN spelled USING (word, lang))
       OR EXISTS (FROM relations SEMI JOIN spelled USING (word, lang) WHERE source <> 'negation')
       OR EXISTS (FROM relations r SEMI JOIN spelled s ON s.word = r.related AND s.lang = r.lang
                  WHERE r.source <> 'negation') AS told
FROM spelled GROUP BY key;
