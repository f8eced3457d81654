-- code: W104
-- severity: warning
-- title: two edges that follow from negation contradict each other
-- remedy: look at the stated edges that they follow from (lexgraph explain A B): those disagree
SELECT word || ' - ' || related AS what FROM both_kinds() WHERE len(synonym_stated) = 0 AND len(antonym_stated) = 0;
