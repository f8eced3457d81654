-- How many shortest paths meet, and the first word where they do; NULL as long as none do.
SELECT sum(a.paths * b.paths)::HUGEINT AS paths, min({'word': word, 'lang': lang}) AS word
FROM reached a JOIN reached b USING (word, lang)
WHERE a.side = 'from' AND b.side = 'to';
