-- What sql/ingest/wiktionary_facts.sql says again and again.

CREATE OR REPLACE TEMP MACRO wiktionary_fact(kind_, related_, gloss_, note_, tags_) AS
    {kind: kind_::VARCHAR, related: related_::VARCHAR, gloss: gloss_::VARCHAR, note: note_::VARCHAR, tags: tags_::VARCHAR[]};

CREATE OR REPLACE TEMP MACRO wiktionary_links(links, kind_, gloss_) AS
    list_transform(links, lambda l: wiktionary_fact(kind_, l.word, gloss_, l.sense, l.tags));

-- The kinds of a dictionary that the graph has under another name: a troponym is the hyponym of a verb.
CREATE OR REPLACE TEMP MACRO wiktionary_tagged_links(links, kind_, tag, gloss_) AS
    list_transform(links, lambda l: wiktionary_fact(kind_, l.word, gloss_, l.sense, list_append(l.tags, tag)));

-- A list that no kind of the graph fits is counted: the number of its links stands in place of a gloss.
CREATE OR REPLACE TEMP MACRO wiktionary_untaken(links, name) AS
    CASE WHEN json_array_length(links) > 0 THEN [wiktionary_fact('untaken', name, json_array_length(links), NULL, NULL)] END;

CREATE OR REPLACE TEMP MACRO wiktionary_rare_links(troponyms, instances, abbreviations, gloss_) AS list_concat(
    wiktionary_links(troponyms, 'hyponym', gloss_), wiktionary_tagged_links(instances, 'hyponym', 'instance', gloss_),
    wiktionary_tagged_links(abbreviations, 'alternative', 'abbreviation', gloss_));

-- Few senses have links, and looking for each kind of them in all senses costs as much as parsing the file.
CREATE OR REPLACE TEMP MACRO wiktionary_has_links(s) AS
    coalesce(s.synonyms, s.antonyms, s.hypernyms, s.hyponyms, s.holonyms, s.meronyms, s.coordinate_terms, s.derived,
             s.troponyms, s.instances, s.abbreviations) IS NOT NULL
    OR coalesce(s.alt_of, s.form_of) IS NOT NULL OR coalesce(s.related, s.proverbs) IS NOT NULL;

-- The forms of a head line are alternatives or inflections; those of a table come with labels, auxiliaries and
-- phrases among them, and their own entries say more.
CREATE OR REPLACE TEMP MACRO wiktionary_form_kind(tags_, source_) AS
    CASE WHEN list_contains(tags_, 'alternative') THEN 'alternative form'
         WHEN source_ IS NOT NULL THEN 'inflection table'
         WHEN list_has_any(tags_, ['auxiliary', 'canonical', 'romanization', 'table-tags', 'inflection-template', 'class']) THEN 'not a form of its own'
         ELSE 'inflected form' END;

CREATE OR REPLACE TEMP TABLE facts (
    word VARCHAR, lang VARCHAR, pos VARCHAR, kind VARCHAR, related VARCHAR, gloss VARCHAR, note VARCHAR, tags VARCHAR[], times BIGINT);
