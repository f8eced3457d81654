-- Temporary macros that read the graph and answer with a table; they need its tables to be there.

-- Pairs of words that are both synonyms and antonyms: for each kind the sources that state it and the rules that yield it.
CREATE OR REPLACE TEMP MACRO both_kinds() AS TABLE
WITH pairs AS (
    SELECT kind, least(word, related) AS word, greatest(word, related) AS related, lang,
           coalesce(list_sort(list(DISTINCT source) FILTER (rule IS NULL)), []) AS stated,
           coalesce(list_sort(list(DISTINCT rule) FILTER (rule IS NOT NULL)), []) AS rules
    FROM relations WHERE kind IN ('synonym', 'antonym') AND word <> related GROUP BY ALL
)
SELECT s.word, s.related, lang, s.stated AS synonym_stated, s.rules AS synonym_rules,
       a.stated AS antonym_stated, a.rules AS antonym_rules
FROM pairs s JOIN pairs a USING (word, related, lang) WHERE s.kind = 'synonym' AND a.kind = 'antonym';

-- Every text of the graph that people read, with the place where it stands.
CREATE OR REPLACE TEMP MACRO texts() AS TABLE
SELECT 'word ' || word AS place, word AS text FROM words
UNION SELECT 'gloss of ' || word || ' (' || source || '): ' || gloss, gloss FROM senses
UNION SELECT 'note on ' || word || ' - ' || related || ' (' || source || '): ' || note, note
FROM relations WHERE note IS NOT NULL;
