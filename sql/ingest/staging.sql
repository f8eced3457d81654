-- What every reader fills; the merge takes it from here.
-- `times`: how often a row stands in the files, where the reader has counted (else once).
CREATE OR REPLACE TEMP TABLE staged_senses (
    word VARCHAR, lang VARCHAR, pos VARCHAR, gloss VARCHAR, tags VARCHAR[], times BIGINT
);
CREATE OR REPLACE TEMP TABLE staged_relations (
    word VARCHAR, related VARCHAR, lang VARCHAR, kind VARCHAR, pos VARCHAR, gloss VARCHAR, note VARCHAR,
    tags VARCHAR[], times BIGINT
);
CREATE OR REPLACE TEMP TABLE staged_morphology (
    word VARCHAR, lang VARCHAR, pos VARCHAR, segmentation VARCHAR,
    prefixes VARCHAR[], roots VARCHAR[], suffixes VARCHAR[]
);
