-- code: W103
-- severity: warning
-- title: an edge that follows from negation contradicts what a source states
-- remedy: look at the negation that it follows from (lexgraph explain A B); a wrong one is mended in data/affixes.csv
SELECT word || ' - ' || related || if(len(synonym_stated) > 0, ' (stated synonym: ' || array_to_string(synonym_stated, ', '), ' (stated antonym: ' || array_to_string(antonym_stated, ', ')) || ')' AS what
FROM both_kinds() WHERE (len(synonym_stated) > 0) <> (len(antonym_stated) > 0);
