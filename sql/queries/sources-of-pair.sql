-- Which sources relate two words, how, and in whose words.
-- $word WORD: one word
-- $other WORD: the other
SELECT source, kind, word, related, lang, pos, note, rule
FROM relations
WHERE (word IN (SELECT word FROM words WHERE key = $word) AND related IN (SELECT word FROM words WHERE key = $other))
   OR (word IN (SELECT word FROM words WHERE key = $other) AND related IN (SELECT word FROM words WHERE key = $word))
ORDER BY ALL;
