-- code: W701
-- severity: warning
-- title: a sense whose gloss is empty or only repeats the word
-- remedy: such a sense tells nothing: look at the entry in the source
SELECT word || ' (' || source || ')' AS what FROM senses WHERE lower(trim(gloss, ' .')) IN ('', lower(word));
