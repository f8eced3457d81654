-- Edges by source and kind; those of the source negation are derived.
SELECT source, kind, count(*) AS edges FROM relations GROUP BY ALL ORDER BY ALL;
