-- The share of relations both of whose words have at most M tokens, for each kind and M (DSKD, Table 2).
-- symmetric: the kinds of which each unordered pair counts once
-- lang: ISO 639 code of the words
-- most: the largest M
-- `word_lengths` holds the tokens of each word's key.
WITH pairs AS (
    SELECT DISTINCT kind,
        if(list_contains($symmetric, kind), least(word_key(word), word_key(related)), word_key(word)) AS a,
        if(list_contains($symmetric, kind), greatest(word_key(word), word_key(related)), word_key(related)) AS b
    FROM relations WHERE lang = $lang
),
longest AS (
    SELECT kind, greatest(a.tokens, b.tokens) AS tokens
    FROM pairs p JOIN word_lengths a ON a.key = p.a JOIN word_lengths b ON b.key = p.b
)
SELECT kind, max_tokens::INTEGER AS max_tokens, count(*) AS relations,
    count(*) FILTER (tokens <= max_tokens) AS kept, round(kept / relations, 4) AS share
FROM longest, range(1, $most + 1) r(max_tokens)
GROUP BY ALL ORDER BY ALL;
