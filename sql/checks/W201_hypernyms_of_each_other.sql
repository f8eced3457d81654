-- code: W201
-- severity: warning
-- title: two words are each more general than the other, and no sense tells the two apart
-- remedy: one of the two edges points the wrong way, or they hold in different senses; look with lexgraph explain A B
WITH above AS (
    SELECT lang, word AS lower, related AS upper, sense FROM relations WHERE kind = 'hypernym'
    UNION SELECT lang, related, word, sense FROM relations WHERE kind = 'hyponym'
)
SELECT DISTINCT least(x.lower, x.upper) || ' - ' || greatest(x.lower, x.upper) AS what
FROM above x JOIN above y ON y.lower = x.upper AND y.upper = x.lower AND y.lang = x.lang WHERE x.sense IS NULL;
