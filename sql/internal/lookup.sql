-- The spellings of a word, and whether a source states a sense or a relation of it.
-- word: the word in NFC; case does not count
-- Here as elsewhere one column is matched at a time, and other conditions wait for an aggregate: DuckDB then goes by
-- the index, and a word is found in milliseconds among millions of edges. With a second condition it reads them all.
WITH spelled AS MATERIALIZED (SELECT key, word FROM words WHERE key = word_key($word)),
edges AS MATERIALIZED (
    SELECT source FROM relations WHERE word IN (SELECT word FROM spelled)
    UNION ALL
    SELECT source FROM relations WHERE related IN (SELECT word FROM spelled)
)
SELECT key, list_sort(list(DISTINCT word)) AS words,
       EXISTS (FROM senses WHERE word IN (SELECT word FROM spelled))
       OR coalesce((SELECT bool_or(source <> 'negation') FROM edges), false) AS described
FROM spelled GROUP BY key;
