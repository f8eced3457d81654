-- One pass over a file of wiktextract JSONL: what it says, each distinct fact once, with the number of times.
-- Nothing else is kept of the file, so memory follows what is in it and not how long it is.
-- path, columns: the file and the fields to read (other fields are skipped by the parser);
-- lang: the language to keep, or 'all'.
-- The kind of a fact: entry (one that is kept) or why it is not; sense; a kind of link; alternative of, form of;
-- and for a form of the head line what wiktionary_form_kind says.
INSERT INTO facts
SELECT word, lang, pos, fact.*, count(*) AS times
FROM (
    SELECT word, lang, pos, unnest(CASE WHEN entry.kind <> 'entry' THEN [entry] ELSE list_concat(
        [entry],
        list_transform(senses, lambda s: wiktionary_fact('sense', NULL, s.glosses[-1], NULL, s.tags)),
        flatten(list_transform(list_filter(senses, lambda s: wiktionary_has_links(s)), lambda s: list_concat(
            wiktionary_links(s.synonyms, 'synonym', s.glosses[-1]), wiktionary_links(s.antonyms, 'antonym', s.glosses[-1]),
            wiktionary_links(s.hypernyms, 'hypernym', s.glosses[-1]), wiktionary_links(s.hyponyms, 'hyponym', s.glosses[-1]),
            wiktionary_links(s.holonyms, 'holonym', s.glosses[-1]), wiktionary_links(s.meronyms, 'meronym', s.glosses[-1]),
            wiktionary_links(s.coordinate_terms, 'coordinate', s.glosses[-1]), wiktionary_links(s.derived, 'derived', s.glosses[-1]),
            list_transform(s.alt_of, lambda o: wiktionary_fact('alternative of', o.word, NULL, s.glosses[-1], s.tags)),
            list_transform(s.form_of, lambda o: wiktionary_fact('form of', o.word, NULL, s.glosses[-1], s.tags))))),
        wiktionary_links(synonyms, 'synonym', NULL), wiktionary_links(antonyms, 'antonym', NULL),
        wiktionary_links(hypernyms, 'hypernym', NULL), wiktionary_links(hyponyms, 'hyponym', NULL),
        wiktionary_links(holonyms, 'holonym', NULL), wiktionary_links(meronyms, 'meronym', NULL),
        wiktionary_links(coordinate_terms, 'coordinate', NULL), wiktionary_links(derived, 'derived', NULL),
        list_transform(forms, lambda f: wiktionary_fact(wiktionary_form_kind(f.tags, f.source), f.form, NULL, NULL, f.tags))) END) AS fact
    FROM (
        SELECT *, lang_code AS lang, wiktionary_fact(
               CASE WHEN redirect IS NOT NULL OR len(redirects) > 0 THEN 'redirect'
                    WHEN coalesce(trim(word), '') = '' THEN 'no word'
                    WHEN coalesce(trim(lang_code), '') = '' THEN 'no language'
                    WHEN $lang NOT IN ('all', lang_code) THEN 'other language'
                    ELSE 'entry' END, coalesce(redirect, array_to_string(redirects, chr(31))), NULL, title, NULL) AS entry
        FROM read_json($path, format = 'newline_delimited', columns = $columns, maximum_object_size = 67108864)
    )
)
GROUP BY ALL;
