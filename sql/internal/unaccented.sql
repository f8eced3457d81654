-- The key of a word that is spelled with other accents or another apostrophe, the first of several.
-- word: the word in NFC, which the graph does not have
SELECT key FROM words WHERE plain_key(key) = plain_key(word_key($word)) ORDER BY key LIMIT 1;
