-- The senses whose gloss holds one of the needed words, by BM25, the best first.
-- text: what is looked for
-- needed: the words of which a gloss must hold one
-- limit: rows at most
SELECT round(score, 3) AS score, word, lang, pos, gloss, source
FROM (SELECT *, fts_main_glosses.match_bm25(id, $text) AS score FROM glosses)
WHERE fts_main_glosses.match_bm25(id, $needed) IS NOT NULL
ORDER BY score DESC, length(gloss), word, pos, gloss, source
LIMIT $limit;
