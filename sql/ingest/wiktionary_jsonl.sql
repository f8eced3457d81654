-- From `facts` (what a file of wiktextract JSONL says, see wiktionary_facts.sql) to staged senses and links.

INSERT INTO staged_senses BY NAME
SELECT word, lang, pos, gloss, tags, times FROM facts WHERE kind = 'sense';

-- Links of a sense are tied to it by its gloss; links of an entry may carry the dump's own words for a sense.
INSERT INTO staged_relations BY NAME
SELECT word, related, lang, kind, pos, gloss, note, tags, times FROM facts
WHERE kind IN ('synonym', 'antonym', 'hypernym', 'hyponym', 'holonym', 'meronym', 'coordinate', 'derived', 'alternative');

-- An entry that is a form of another word: the edge leaves that word, and the gloss is this entry's, so it is a note.
INSERT INTO staged_relations BY NAME
SELECT related AS word, word AS related, lang, replace(kind, ' of', '') AS kind, pos, note,
       list_filter(tags, lambda t: t NOT IN ('alt-of', 'form-of')) AS tags, times
FROM facts WHERE kind IN ('alternative of', 'form of');

INSERT INTO staged_relations BY NAME
SELECT word, related, lang, if(kind = 'alternative form', 'alternative', 'form') AS kind, pos, tags, times
FROM facts WHERE kind IN ('alternative form', 'inflected form');

-- A page's redirect has no language of its own: it belongs to the entries that it leads to, of which there may be several.
-- An entry that is nothing but a redirect leads to the entry in its language.
CREATE OR REPLACE TEMP TABLE redirects AS
SELECT title, r.target, stated, e.lang FROM (
    SELECT coalesce(note, word) AS title, nullif(trim(lang), '') AS stated, unnest(string_split(related, chr(31))) AS target
    FROM facts WHERE kind = 'redirect' GROUP BY coalesce(note, word), nullif(trim(lang), ''), related) r
LEFT JOIN (SELECT DISTINCT word AS target, lang FROM facts WHERE kind = 'entry') e ON e.target = r.target AND e.lang = coalesce(r.stated, e.lang);

INSERT INTO staged_relations BY NAME
SELECT DISTINCT target AS word, title AS related, lang, 'alternative' AS kind, 'redirect' AS note FROM redirects WHERE lang IS NOT NULL;

CREATE OR REPLACE TEMP TABLE wiktionary_outcomes AS
SELECT 'entries' AS unit, if(kind = 'entry', 'kept', kind) AS outcome, sum(times) AS times
FROM facts WHERE kind IN ('entry', 'no word', 'no language', 'other language') GROUP BY ALL
UNION ALL
SELECT 'entries', if(found, 'kept', 'redirect to no entry that is kept'), sum(times) FROM (
    SELECT f.times, (coalesce(note, word), coalesce(trim(lang), '')) IN (
        SELECT (title, coalesce(stated, '')) FROM redirects WHERE lang IS NOT NULL) AS found
    FROM facts f WHERE kind = 'redirect') GROUP BY ALL
UNION ALL
SELECT 'forms', if(kind LIKE '% form', 'kept', kind), sum(times)
FROM facts WHERE kind IN ('alternative form', 'inflected form', 'inflection table', 'not a form of its own') GROUP BY ALL
UNION ALL
SELECT 'links', 'not a relation we keep: ' || name, sum(n) FROM (
    SELECT related AS name, times * gloss::BIGINT AS n FROM facts WHERE kind = 'untaken'
    UNION ALL SELECT unnest(['related', 'proverbs']), unnest(string_split(gloss, ' '))::BIGINT * times FROM facts WHERE kind = 'entry')
GROUP BY name HAVING sum(n) > 0;
