-- The senses of a word.
-- key: words.key of the word
SELECT word, pos, gloss, tags, source, lang FROM senses
WHERE word IN (SELECT word FROM words WHERE key = $key)
ORDER BY lang, source, pos, gloss, word;
