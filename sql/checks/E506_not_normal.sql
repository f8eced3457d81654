-- code: E506
-- severity: error
-- title: a word is not in NFC, or has spaces around it or several in a row
-- remedy: ingest the source again (lexgraph ingest ...): readers store words in their normal form
SELECT word AS what FROM words WHERE word <> nfc_normalize(word) OR word <> single_spaces(word);
