-- code: W502
-- severity: warning
-- title: a character was lost: U+FFFD stands in its place
-- remedy: get the file anew in UTF-8 and ingest again
SELECT place AS what FROM texts() WHERE contains(text, chr(65533));
