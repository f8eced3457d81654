-- The senses whose gloss holds some letters: a superset of those that hold a word of a stem that begins with them.
-- beginnings: the letters, in lower case without accents
SELECT id, word, lang, pos, gloss, source FROM senses
WHERE list_bool_or(list_transform($beginnings, lambda b: contains(lower(strip_accents(gloss)), b)));
