-- The senses of a word.
-- key: words.key of the word
SELECT s.word, s.pos, s.gloss, s.tags, s.source, s.lang
FROM senses s JOIN words w USING (word, lang)
WHERE w.key = $key
ORDER BY s.lang, s.source, s.pos, s.gloss, s.word;
