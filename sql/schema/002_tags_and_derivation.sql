-- Labels that a source puts on a relation (Latin, obsolete, informal, a qualifier of Wiktionary's), and how the
-- derived edges that stand in the graph were found.

ALTER TABLE relations ADD COLUMN tags VARCHAR[];

CREATE TABLE derivation (
    negation VARCHAR PRIMARY KEY        -- 'evidence', or 'paper' for the DSKD paper's blind stripping
);
INSERT INTO derivation VALUES ('evidence');
