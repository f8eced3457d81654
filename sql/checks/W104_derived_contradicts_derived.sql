-- code: W104
-- severity: warning
-- title: two edges that follow from negation contradict each other
-- remedy: look at the stated edges that they follow from (lexgraph explain A B): those disagree
WITH pairs AS (
    SELECT kind, lang, least(word, related) AS a, greatest(word, related) AS b, list(DISTINCT source) AS sources
    FROM relations WHERE kind IN ('synonym', 'antonym') GROUP BY ALL
), both_kinds AS (
    SELECT s.a, s.b, list_sort(list_filter(s.sources, lambda x: x <> 'negation')) AS synonym,
           list_sort(list_filter(n.sources, lambda x: x <> 'negation')) AS antonym
    FROM pairs s JOIN pairs n USING (lang, a, b) WHERE s.kind = 'synonym' AND n.kind = 'antonym'
)
SELECT a || ' - ' || b AS what FROM both_kinds WHERE len(synonym) = 0 AND len(antonym) = 0;
