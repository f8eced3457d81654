-- The edges of a graph for networkx, with the gloss of the sense.
-- kinds: the kinds to take, or NULL for all
-- lang: ISO 639 code of the words, or NULL for all
SELECT r.*, s.gloss
FROM relations r LEFT JOIN senses s ON s.id = r.sense
WHERE ($kinds::VARCHAR[] IS NULL OR list_contains($kinds::VARCHAR[], r.kind))
    AND ($lang::VARCHAR IS NULL OR r.lang = $lang::VARCHAR)
