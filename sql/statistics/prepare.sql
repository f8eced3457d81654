-- What several sections read: words as numbers, and each unordered pair of words once for each kind.
-- Words are told apart as they are written, case included, and by language.

CREATE OR REPLACE TEMP TABLE numbered AS
SELECT (row_number() OVER () - 1)::INTEGER AS number, word, lang
FROM (SELECT word, lang FROM relations UNION SELECT related, lang FROM relations);

CREATE OR REPLACE TEMP TABLE kind_pairs AS
SELECT kind, least(a.number, b.number) AS a, greatest(a.number, b.number) AS b,
       list_sort(list(DISTINCT source)) AS sources
FROM relations r
JOIN numbered a ON a.word = r.word AND a.lang = r.lang
JOIN numbered b ON b.word = r.related AND b.lang = r.lang
WHERE a.number <> b.number
GROUP BY ALL;

-- The undirected simple graphs that degrees and components are about.
CREATE OR REPLACE TEMP TABLE graph_edges AS
SELECT kind AS graph, a, b FROM kind_pairs
UNION ALL
SELECT DISTINCT 'synonym+antonym', a, b FROM kind_pairs WHERE kind IN ('synonym', 'antonym');

CREATE OR REPLACE TEMP TABLE graph_degrees AS
SELECT graph, number, count(*) AS degree
FROM (SELECT graph, a AS number FROM graph_edges UNION ALL SELECT graph, b FROM graph_edges)
GROUP BY ALL;
