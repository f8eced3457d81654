-- What a graph holds: its sources and every edge. Ids of edges are hashes of their content.
SELECT
    (SELECT list([name, reader] || sha256 ORDER BY name) FROM sources),
    (SELECT count(*) FROM relations),
    (SELECT bit_xor(id) FROM relations);
