-- What the pages of a dump say beside senses and relations, before ingest/wiktionary_dump judges it.
CREATE OR REPLACE TEMP TABLE dump_redirects (word VARCHAR, target VARCHAR);
CREATE OR REPLACE TEMP TABLE dump_entries (word VARCHAR, lang VARCHAR);
