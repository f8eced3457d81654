-- The affix table says whose language an affix is, and when a fitting base is evidence by itself.

DROP TABLE negation_rules;

-- Loaded from data/affixes.csv by every derivation; docs/negation.md describes each column.
CREATE TABLE negation_rules (
    lang         VARCHAR NOT NULL,         -- ISO 639 code of the words that the rule is for
    affix        VARCHAR NOT NULL,         -- un-, -less, ...
    spelling     VARCHAR NOT NULL,         -- the letters to take off
    restore      VARCHAR NOT NULL,         -- the letters to put back (penniless: -iless, penn + y)
    position     VARCHAR NOT NULL,         -- prefix or suffix
    morpholex    VARCHAR,                  -- how MorphoLEX writes it
    kind         VARCHAR NOT NULL,         -- contrary, lack, reversal, opposition
    pos          VARCHAR[] NOT NULL,       -- parts of speech of the negated word
    base_pos     VARCHAR[] NOT NULL,       -- parts of speech of the base
    enough       VARCHAR[] NOT NULL,       -- pieces of evidence each of which suffices
    alone_pos    VARCHAR[] NOT NULL,       -- parts of speech of a base that is evidence by itself; none: never
    alone_length INTEGER,                  -- ... if it has at least so many letters
    alone_shape  VARCHAR,                  -- ... and matches this regular expression
    PRIMARY KEY (lang, affix, spelling, kind)
);

ALTER TABLE derivation ADD COLUMN withheld UBIGINT;  -- edges that follow by negation, but contradict what a source states
