-- From `entries` (one row a line of wiktextract JSONL) to staged senses and links of one language.

CREATE OR REPLACE TEMP TABLE entry_outcomes AS
SELECT line,
       CASE WHEN redirect IS NOT NULL THEN 'redirect'
            WHEN coalesce(trim(word), '') = '' THEN 'no word'
            WHEN lang_code IS DISTINCT FROM getvariable('lang') THEN 'other language'
            ELSE 'kept' END AS outcome
FROM entries;

CREATE OR REPLACE TEMP TABLE kept_entries AS
SELECT e.* FROM entries e JOIN entry_outcomes o USING (line) WHERE o.outcome = 'kept';

CREATE OR REPLACE TEMP TABLE kept_senses AS
SELECT word, lang_code AS lang, pos, sense, sense.glosses[-1] AS gloss
FROM (SELECT word, lang_code, pos, unnest(senses) AS sense FROM kept_entries);

INSERT INTO staged_senses BY NAME
SELECT word, lang, pos, gloss, sense.tags AS tags FROM kept_senses WHERE gloss IS NOT NULL;

-- Links of a sense are tied to it by its gloss; links of an entry may carry the dump's own words for a sense.
CREATE OR REPLACE TEMP TABLE link_lists AS
SELECT word, lang, pos, gloss, unnest([
    {kind: 'synonym', links: sense.synonyms}, {kind: 'antonym', links: sense.antonyms},
    {kind: 'hypernym', links: sense.hypernyms}, {kind: 'hyponym', links: sense.hyponyms},
    {kind: 'holonym', links: sense.holonyms}, {kind: 'meronym', links: sense.meronyms},
    {kind: 'coordinate', links: sense.coordinate_terms}, {kind: 'derived', links: sense.derived}]) AS list
FROM kept_senses
UNION ALL
SELECT word, lang_code, pos, NULL, unnest([
    {kind: 'synonym', links: synonyms}, {kind: 'antonym', links: antonyms},
    {kind: 'hypernym', links: hypernyms}, {kind: 'hyponym', links: hyponyms},
    {kind: 'holonym', links: holonyms}, {kind: 'meronym', links: meronyms},
    {kind: 'coordinate', links: coordinate_terms}, {kind: 'derived', links: derived}])
FROM kept_entries;

INSERT INTO staged_relations BY NAME
SELECT word, link.word AS related, lang, kind, pos, gloss, link.sense AS note
FROM (SELECT word, lang, pos, gloss, list.kind AS kind, unnest(list.links) AS link FROM link_lists);
