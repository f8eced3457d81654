-- The words are exactly those that some row of the graph mentions.
CREATE OR REPLACE TEMP TABLE mentioned AS
SELECT word, lang FROM senses UNION SELECT word, lang FROM relations UNION SELECT related, lang FROM relations
UNION SELECT word, lang FROM morphology;

DELETE FROM words WHERE (word, lang) NOT IN (SELECT (word, lang) FROM mentioned);
INSERT INTO words SELECT word, word_key(word), lang FROM mentioned WHERE (word, lang) NOT IN (SELECT (word, lang) FROM words);
