-- Whether anything of a source is in the graph.
-- name: the source
SELECT 1 WHERE $name IN (
    SELECT source FROM senses UNION ALL SELECT source FROM relations UNION ALL SELECT source FROM morphology
);
