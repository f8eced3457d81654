-- code: W401
-- severity: warning
-- title: a word negates a base that stands in no dictionary or word list of the graph, nor does what it is a form of
-- remedy: check the base; ingest a dictionary that has it, or mend the rule in data/affixes.csv
WITH attested AS (
    SELECT word, lang FROM senses
    UNION SELECT word, lang FROM relations WHERE source <> 'negation'
    UNION SELECT related, lang FROM relations WHERE source <> 'negation'
), bases AS (
    SELECT *, regexp_replace(base, '(s|es|d|ed|ing|ly|ness)$', '') AS stem
    FROM (SELECT DISTINCT word, base, evidence, lang FROM morphology WHERE negates)
), forms AS (
    SELECT DISTINCT base, lang, unnest(if(stem = base, [base], [
        base, stem, stem || 'e', stem || 'le', regexp_replace(stem, 'i$', 'y'), left(stem, length(stem) - 1)])) AS form
    FROM bases
), known AS (
    SELECT f.base, f.lang FROM forms f JOIN attested a ON a.word = f.form AND a.lang = f.lang
)
SELECT DISTINCT word || ' negates ' || base || ' (evidence: ' || array_to_string(evidence, ', ') || ')' AS what
FROM bases ANTI JOIN known USING (base, lang);
