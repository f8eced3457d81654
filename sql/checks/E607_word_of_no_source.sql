-- code: E607
-- severity: error
-- title: a word that nothing in the graph mentions, or whose key is wrong
-- remedy: run lexgraph derive, which makes the table of words anew
SELECT w.word AS what FROM words w ANTI JOIN (
    SELECT word, lang FROM senses UNION SELECT word, lang FROM morphology UNION SELECT word, lang FROM relations
    UNION SELECT related, lang FROM relations
) m ON m.word = w.word AND m.lang = w.lang
UNION SELECT word FROM words WHERE key <> word_key(word);
