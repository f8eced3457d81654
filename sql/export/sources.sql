-- The sources of an export, as its attribution lists them.
SELECT name, licence, revision, edges, derived_edges, senses, morphology, url, files, sha256
FROM out_sources ORDER BY name;
