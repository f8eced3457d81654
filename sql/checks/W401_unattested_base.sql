-- code: W401
-- severity: warning
-- title: a word negates a base that stands in no dictionary or word list of the graph, at most in a segmentation
-- remedy: check the base; ingest a dictionary that has it, or mend the rule in data/affixes.csv
WITH attested AS (
    SELECT word_key(word) AS key, lang FROM senses
    UNION SELECT word_key(word), lang FROM relations WHERE source <> 'negation'
    UNION SELECT word_key(related), lang FROM relations WHERE source <> 'negation'
)
SELECT DISTINCT m.word || ' negates ' || m.base || ' (evidence: ' || array_to_string(m.evidence, ', ') || ')' AS what
FROM morphology m ANTI JOIN attested a ON a.key = word_key(m.base) AND a.lang = m.lang WHERE m.negates;
