-- code: W102
-- severity: warning
-- title: one source states a pair as synonyms, another as antonyms
-- remedy: look at both (lexgraph explain A B); where it matters, take the pairs of the source you trust
WITH pairs AS (
    SELECT kind, lang, least(word, related) AS a, greatest(word, related) AS b, list(DISTINCT source) AS sources
    FROM relations WHERE kind IN ('synonym', 'antonym') GROUP BY ALL
), both_kinds AS (
    SELECT s.a, s.b, list_sort(list_filter(s.sources, lambda x: x <> 'negation')) AS synonym,
           list_sort(list_filter(n.sources, lambda x: x <> 'negation')) AS antonym
    FROM pairs s JOIN pairs n USING (lang, a, b) WHERE s.kind = 'synonym' AND n.kind = 'antonym'
)
SELECT a || ' - ' || b || ' (synonym: ' || array_to_string(synonym, ', ') || '; antonym: ' || array_to_string(antonym, ', ') || ')' AS what
FROM both_kinds WHERE len(synonym) > 0 AND len(antonym) > 0 AND NOT list_has_any(synonym, antonym);
