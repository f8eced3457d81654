-- Pairs that two sources share (of one source with itself: all its pairs), and their share of the first one's.
WITH stated AS (
    SELECT kind, a, b, unnest(sources) AS source FROM kind_pairs WHERE kind IN ('synonym', 'antonym')
), own AS (SELECT kind, source, count(*) AS pairs FROM stated GROUP BY ALL)
SELECT s.kind, s.source, o.source AS other, count(*) AS pairs, round(count(*) / any_value(own.pairs), 4) AS share
FROM stated s JOIN stated o USING (kind, a, b) JOIN own ON own.kind = s.kind AND own.source = s.source
GROUP BY ALL ORDER BY ALL;
