-- code: W101
-- severity: warning
-- title: one source states a pair both as synonyms and as antonyms
-- remedy: look at the entries (lexgraph explain A B): different senses, a word that is its own opposite, or a slip of the source
SELECT word || ' - ' || related || ' (' || array_to_string(list_sort(list_intersect(synonym_stated, antonym_stated)), ', ') || ')' AS what
FROM both_kinds() WHERE list_has_any(synonym_stated, antonym_stated);
