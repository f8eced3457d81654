-- code: W503
-- severity: warning
-- title: control or invisible characters
-- remedy: clean the file and ingest again: such words are found by nobody who types them
SELECT regexp_replace(place, '[\x{00}-\x{1F}\x{7F}-\x{9F}]', chr(9216), 'g') AS what FROM texts()
-- Joiners (U+200C, U+200D) are part of the spelling in some scripts.
WHERE regexp_matches(text, '[\x{00}-\x{08}\x{0B}\x{0C}\x{0E}-\x{1F}\x{7F}-\x{9F}\x{AD}\x{200B}\x{200E}\x{200F}\x{202A}-\x{202E}\x{2060}\x{FEFF}]');
