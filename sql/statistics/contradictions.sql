-- Pairs that are both synonyms and antonyms, by how each side is known.
CREATE OR REPLACE TEMP MACRO how_known(stated, rules) AS
    CASE WHEN stated = [] THEN 'derived' WHEN rules = [] THEN 'stated' ELSE 'stated and derived' END;

SELECT how_known(synonym_stated, synonym_rules) AS synonym, how_known(antonym_stated, antonym_rules) AS antonym,
       count(*) AS pairs, count(*) FILTER (list_has_any(synonym_stated, antonym_stated)) AS within_one_source
FROM both_kinds() GROUP BY ALL ORDER BY ALL;
