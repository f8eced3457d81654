-- Pairs of words that are synonyms by some edge and antonyms by another.
-- $stated BOOLEAN = false: only where both are stated, none derived
-- $limit INTEGER = 50: rows at most
SELECT word, related, lang,
       if($stated OR synonym_rules = [], synonym_stated, list_sort(synonym_stated || ['negation'])) AS synonyms_by,
       if($stated OR antonym_rules = [], antonym_stated, list_sort(antonym_stated || ['negation'])) AS antonyms_by
FROM both_kinds() WHERE synonyms_by <> [] AND antonyms_by <> []
ORDER BY len(synonyms_by) + len(antonyms_by) DESC, 1, 2, 3 LIMIT $limit;
