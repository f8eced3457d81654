-- Pairs that are both synonyms and antonyms, with what says either: stated on both sides first.
FROM both_kinds()
ORDER BY (synonym_stated = [])::INTEGER + (antonym_stated = [])::INTEGER,
         len(synonym_stated) + len(antonym_stated) DESC, word, related;
