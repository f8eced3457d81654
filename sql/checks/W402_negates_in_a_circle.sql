-- code: W402
-- severity: warning
-- title: two words negate each other
-- remedy: one of the two decompositions is wrong: look at both (lexgraph show WORD)
SELECT DISTINCT a.word || ' - ' || b.word AS what
FROM morphology a JOIN morphology b ON word_key(b.word) = word_key(a.base) AND word_key(b.base) = word_key(a.word) AND b.lang = a.lang
WHERE a.negates AND b.negates AND word_key(a.word) < word_key(b.word);
