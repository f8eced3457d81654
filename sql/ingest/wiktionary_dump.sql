-- Redirects of a Wiktionary dump: a title that leads to an entry that was kept is an alternative form of it.

CREATE OR REPLACE TEMP TABLE dump_redirect_outcomes AS
SELECT r.word, r.target, CASE
    WHEN r.target NOT IN (SELECT word FROM dump_entries) THEN 'its target has no entry that was kept'
    ELSE 'kept' END AS outcome
FROM dump_redirects r;

INSERT INTO staged_relations BY NAME
SELECT DISTINCT r.target AS word, r.word AS related, e.lang, 'alternative' AS kind, 'redirect' AS note
FROM dump_redirect_outcomes r JOIN dump_entries e ON e.word = r.target
WHERE r.outcome = 'kept';
