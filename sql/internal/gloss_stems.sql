-- The words of a text and their English stems.
-- text: what is looked for
SELECT DISTINCT word, stem(word, 'porter') AS stem
FROM (SELECT unnest(regexp_extract_all(lower(strip_accents($text)), '[\p{L}\p{N}]+')) AS word)
ORDER BY word;
