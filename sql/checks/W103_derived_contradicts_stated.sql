-- code: W103
-- severity: warning
-- title: an edge that follows from negation contradicts what a source states
-- remedy: look at the negation that it follows from (lexgraph explain A B); a wrong one is mended in data/affixes.csv
WITH pairs AS (
    SELECT kind, lang, least(word, related) AS a, greatest(word, related) AS b, list(DISTINCT source) AS sources
    FROM relations WHERE kind IN ('synonym', 'antonym') GROUP BY ALL
), both_kinds AS (
    SELECT s.a, s.b, list_sort(list_filter(s.sources, lambda x: x <> 'negation')) AS synonym,
           list_sort(list_filter(n.sources, lambda x: x <> 'negation')) AS antonym
    FROM pairs s JOIN pairs n USING (lang, a, b) WHERE s.kind = 'synonym' AND n.kind = 'antonym'
)
SELECT a || ' - ' || b || if(len(synonym) > 0, ' (stated synonym: ' || array_to_string(synonym, ', '), ' (stated antonym: ' || array_to_string(antonym, ', ')) || ')' AS what
FROM both_kinds WHERE (len(synonym) > 0) <> (len(antonym) > 0);
