-- One pass over a file of wiktextract JSONL: what it says, each distinct fact once, with the number of times.
-- Nothing else is kept of the file, so memory follows what is in it and not how long it is.
-- path, columns: the file and the fields to read (other fields are skipped by the parser);
-- lang: the language to keep, or 'all'; longest: bytes of a line, which is what DuckDB makes of half as much.
-- In place of a gloss, an entry has the numbers of its links that are counted only, `related proverbs`.
-- The kind of a fact: entry (one that is kept) or why it is not; sense; a kind of link; untaken (links that are counted
-- only); alternative of, form of; and for a form of the head line what wiktionary_form_kind says.
INSERT INTO facts
SELECT word, lang, pos, fact.*, count(*) AS times
FROM (
    SELECT word, lang, pos, unnest(CASE WHEN entry.kind <> 'entry' THEN [entry] ELSE list_concat(
        [entry],
        -- A list of glosses leads from the general to the special, as lines and lines below them do on the page. Links
        -- and tags are those of the last.
        flatten(list_transform(list_filter(senses, lambda s: len(s.glosses) > 1), lambda s:
            list_transform(s.glosses[:-2], lambda g: wiktionary_fact('sense', NULL, g, NULL, NULL)))),
        list_transform(senses, lambda s: wiktionary_fact('sense', NULL, s.glosses[-1], NULL, s.tags)),
        flatten(list_transform(list_filter(senses, lambda s: wiktionary_has_links(s)), lambda s: list_concat(
            wiktionary_links(s.synonyms, 'synonym', s.glosses[-1]), wiktionary_links(s.antonyms, 'antonym', s.glosses[-1]),
            wiktionary_links(s.hypernyms, 'hypernym', s.glosses[-1]), wiktionary_links(s.hyponyms, 'hyponym', s.glosses[-1]),
            wiktionary_links(s.holonyms, 'holonym', s.glosses[-1]), wiktionary_links(s.meronyms, 'meronym', s.glosses[-1]),
            wiktionary_links(s.coordinate_terms, 'coordinate', s.glosses[-1]), wiktionary_links(s.derived, 'derived', s.glosses[-1]),
            wiktionary_rare_links(s.troponyms, s.instances, s.abbreviations, s.glosses[-1]),
            wiktionary_untaken(s.related, 'related'), wiktionary_untaken(s.proverbs, 'proverbs'),
            list_transform(s.alt_of, lambda o: wiktionary_fact('alternative of', o.word, NULL, s.glosses[-1], s.tags)),
            list_transform(s.form_of, lambda o: wiktionary_fact('form of', o.word, NULL, s.glosses[-1], s.tags))))),
        wiktionary_links(synonyms, 'synonym', NULL), wiktionary_links(antonyms, 'antonym', NULL),
        wiktionary_links(hypernyms, 'hypernym', NULL), wiktionary_links(hyponyms, 'hyponym', NULL),
        wiktionary_links(holonyms, 'holonym', NULL), wiktionary_links(meronyms, 'meronym', NULL),
        wiktionary_links(coordinate_terms, 'coordinate', NULL), wiktionary_links(derived, 'derived', NULL),
        CASE WHEN coalesce(troponyms, instances, abbreviations) IS NOT NULL
             THEN wiktionary_rare_links(troponyms, instances, abbreviations, NULL) END,
        list_transform(forms, lambda f: wiktionary_fact(wiktionary_form_kind(f.tags, f.source), f.form, NULL, NULL, f.tags))) END) AS fact
    FROM (
        SELECT *, lang_code AS lang, wiktionary_fact(
               CASE WHEN (redirect IS NOT NULL OR len(redirects) > 0) AND coalesce(trim(lang_code), '') IN ('', $lang) THEN 'redirect'
                    WHEN (redirect IS NOT NULL OR len(redirects) > 0) AND $lang = 'all' THEN 'redirect'
                    WHEN coalesce(trim(word), '') = '' THEN 'no word'
                    WHEN coalesce(trim(lang_code), '') = '' THEN 'no language'
                    WHEN $lang NOT IN ('all', lang_code) THEN 'other language'
                    ELSE 'entry' END, coalesce(redirect, array_to_string(redirects, chr(31))),
               CASE WHEN coalesce(related, proverbs) IS NOT NULL
                    THEN coalesce(json_array_length(related), 0) || ' ' || coalesce(json_array_length(proverbs), 0) END, title, NULL) AS entry
        FROM read_json($path, format = 'newline_delimited', columns = $columns, maximum_object_size = $longest // 2)
    )
)
GROUP BY ALL;
