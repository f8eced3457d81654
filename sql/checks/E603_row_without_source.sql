-- code: E603
-- severity: error
-- title: rows of a source that is not in the table of sources
-- remedy: ingest the source again (lexgraph ingest ... --name NAME), or remove it (lexgraph remove NAME)
SELECT r.place || ' ' || r.source AS what FROM (
    SELECT DISTINCT 'relations of' AS place, source FROM relations
    UNION SELECT 'senses of', source FROM senses UNION SELECT 'morphology of', source FROM morphology
) r ANTI JOIN sources s ON s.name = r.source WHERE r.source <> 'negation';
