-- code: W401
-- severity: warning
-- title: a word negates a base that stands in no dictionary or word list of the graph, nor does what it is a form of
-- remedy: check the base; ingest a dictionary that has it, or mend the rule in data/affixes.csv
WITH attested AS (
    SELECT word_key(word) AS key, lang FROM senses
    UNION SELECT word_key(word), lang FROM relations WHERE source <> 'negation'
    UNION SELECT word_key(related), lang FROM relations WHERE source <> 'negation'
), bases AS (
    SELECT *, regexp_replace(key, '(s|es|d|ed|ing|ly|ness)$', '') AS stem
    FROM (SELECT DISTINCT word, base, evidence, lang, word_key(base) AS key FROM morphology WHERE negates)
), forms AS (
    SELECT DISTINCT key, lang, unnest(if(stem = key, [key], [
        key, stem, stem || 'e', stem || 'le', regexp_replace(stem, 'i$', 'y'), left(stem, length(stem) - 1)])) AS form
    FROM bases
), known AS (
    SELECT f.key, f.lang FROM forms f JOIN attested a ON a.key = f.form AND a.lang = f.lang
)
SELECT DISTINCT word || ' negates ' || base || ' (evidence: ' || array_to_string(evidence, ', ') || ')' AS what
FROM bases ANTI JOIN known USING (key, lang);
