-- The share of all glosses that hold some letters.
-- beginnings: the letters, in lower case without accents
WITH folded AS MATERIALIZED (SELECT lower(strip_accents(gloss)) AS text FROM senses)
SELECT beginning, (SELECT count(*) FROM folded WHERE contains(text, beginning)) / greatest((SELECT count(*) FROM folded), 1) AS share
FROM (SELECT DISTINCT unnest($beginnings) AS beginning);
