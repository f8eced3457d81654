-- The words are exactly those that some source mentions. What was derived before does not count: it may be about to go.
CREATE OR REPLACE TEMP TABLE mentioned AS
SELECT word, lang FROM senses UNION SELECT word, lang FROM morphology WHERE source <> 'negation'
UNION SELECT word, lang FROM relations WHERE source <> 'negation'
UNION SELECT related, lang FROM relations WHERE source <> 'negation';

DELETE FROM words WHERE (word, lang) NOT IN (SELECT (word, lang) FROM mentioned);
INSERT INTO words SELECT word, word_key(word), lang FROM mentioned ANTI JOIN words USING (word, lang);
