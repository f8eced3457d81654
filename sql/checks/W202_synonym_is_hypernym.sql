-- code: W202
-- severity: warning
-- title: one source states a pair as synonyms and, in the same sense, one of the two as more general than the other
-- remedy: near-synonyms, or a slip of the source; leave out one kind where it matters (--kinds)
WITH ends AS (
    SELECT word, related, lang, source, sense FROM relations WHERE kind = 'synonym'
    UNION ALL SELECT related, word, lang, source, sense FROM relations WHERE kind = 'synonym'
)
SELECT DISTINCT least(h.word, h.related) || ' - ' || greatest(h.word, h.related) || ' (' || h.source || ')' AS what
FROM relations h JOIN ends s ON s.source = h.source AND s.lang = h.lang AND s.word = h.word AND s.related = h.related
WHERE h.kind IN ('hypernym', 'hyponym') AND (h.sense = s.sense OR h.sense IS NULL OR s.sense IS NULL);
