-- code: E301
-- severity: error
-- title: a word is related to itself
-- remedy: ingest the source again (lexgraph ingest ...): readers drop self loops
SELECT word || ' - ' || related || ' ' || kind || ' (' || source || ')' AS what
FROM relations WHERE word = related;
