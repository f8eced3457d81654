-- code: W202
-- severity: warning
-- title: one source states a pair as synonyms and one of the two as more general than the other
-- remedy: near-synonyms, or different senses; leave out one kind where it matters (--kinds)
SELECT DISTINCT least(h.word, h.related) || ' - ' || greatest(h.word, h.related) || ' (' || h.source || ')' AS what
FROM relations h JOIN relations s ON s.source = h.source AND s.lang = h.lang AND s.kind = 'synonym'
 AND s.word = h.word AND s.related = h.related
WHERE h.kind IN ('hypernym', 'hyponym')
UNION
SELECT DISTINCT least(h.word, h.related) || ' - ' || greatest(h.word, h.related) || ' (' || h.source || ')'
FROM relations h JOIN relations s ON s.source = h.source AND s.lang = h.lang AND s.kind = 'synonym'
 AND s.word = h.related AND s.related = h.word
WHERE h.kind IN ('hypernym', 'hyponym');
