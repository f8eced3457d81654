-- Pairs that are both synonyms and antonyms, with what says either: stated on both sides first.
WITH pairs AS (
    SELECT least(word, related) AS word, greatest(word, related) AS related, lang, kind,
           list_sort(list(DISTINCT source) FILTER (rule IS NULL)) AS stated,
           list_sort(list(DISTINCT rule) FILTER (rule IS NOT NULL)) AS rules
    FROM relations WHERE kind IN ('synonym', 'antonym') AND word <> related GROUP BY ALL
)
SELECT s.word, s.related, coalesce(s.stated, []) AS synonym_stated, coalesce(s.rules, []) AS synonym_rules,
       coalesce(a.stated, []) AS antonym_stated, coalesce(a.rules, []) AS antonym_rules
FROM pairs s JOIN pairs a USING (word, related, lang) WHERE s.kind = 'synonym' AND a.kind = 'antonym'
ORDER BY (len(synonym_stated) = 0)::INTEGER + (len(antonym_stated) = 0)::INTEGER,
         len(synonym_stated) + len(antonym_stated) DESC, word, related;
