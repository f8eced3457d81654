-- code: W102
-- severity: warning
-- title: one source states a pair as synonyms, another as antonyms
-- remedy: look at both (lexgraph explain A B); where it matters, take the pairs of the source you trust
SELECT word || ' - ' || related || ' (synonym: ' || array_to_string(synonym_stated, ', ') || '; antonym: ' || array_to_string(antonym_stated, ', ') || ')' AS what
FROM both_kinds() WHERE len(synonym_stated) > 0 AND len(antonym_stated) > 0 AND NOT list_has_any(synonym_stated, antonym_stated);
