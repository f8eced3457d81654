-- code: W402
-- severity: warning
-- title: two words negate each other
-- remedy: one of the two decompositions is wrong: look at both (lexgraph show WORD)
SELECT DISTINCT a.word || ' - ' || b.word AS what
FROM morphology a JOIN morphology b ON b.word = a.base AND b.base = a.word AND b.lang = a.lang
WHERE a.negates AND b.negates AND a.word < b.word;
