-- code: W505
-- severity: warning
-- title: a word begins or ends with stray punctuation, or its brackets do not pair
-- remedy: clean the file and ingest again; the rest of the word may be missing
SELECT word AS what FROM words
WHERE regexp_matches(word, '^[,;:|*#_=]..|..[,;:|*#_=]$')
   OR length(replace(word, '(', '')) <> length(replace(word, ')', '')) AND length(word) > 2 AND NOT regexp_matches(word, '[:;=8][-'']?[()]');
