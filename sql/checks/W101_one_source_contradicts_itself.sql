-- code: W101
-- severity: warning
-- title: one source states a pair both as synonyms and as antonyms
-- remedy: look at the entries (lexgraph explain A B): different senses, a word that is its own opposite, or a slip of the source
WITH pairs AS (
    SELECT kind, lang, least(word, related) AS a, greatest(word, related) AS b, list(DISTINCT source) AS sources
    FROM relations WHERE kind IN ('synonym', 'antonym') GROUP BY ALL
), both_kinds AS (
    SELECT s.a, s.b, list_sort(list_filter(s.sources, lambda x: x <> 'negation')) AS synonym,
           list_sort(list_filter(n.sources, lambda x: x <> 'negation')) AS antonym
    FROM pairs s JOIN pairs n USING (lang, a, b) WHERE s.kind = 'synonym' AND n.kind = 'antonym'
)
SELECT a || ' - ' || b || ' (' || array_to_string(list_sort(list_intersect(synonym, antonym)), ', ') || ')' AS what
FROM both_kinds WHERE list_has_any(synonym, antonym);
