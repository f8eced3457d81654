-- The lexical graph. Every row of senses, relations and morphology names the source that states it;
-- ids are hashes of the row's own content, so the same sources give the same rows in any order of ingest.

CREATE TABLE sources (
    name         VARCHAR PRIMARY KEY,   -- what `lexgraph ingest --name` called it
    reader       VARCHAR NOT NULL,      -- the reader that understood the files
    revision     VARCHAR,               -- the edition or dump date, where known
    licence      VARCHAR,
    url          VARCHAR,
    files        VARCHAR[] NOT NULL,    -- file names, without their folders
    sha256       VARCHAR[] NOT NULL,    -- of each file
    bytes        UBIGINT NOT NULL,
    tool         VARCHAR NOT NULL,
    tool_version VARCHAR NOT NULL,
    ingested_at  TIMESTAMP NOT NULL
);

-- What became of everything that was read: for each source and unit, read = the sum over all outcomes.
CREATE TABLE intake (
    source  VARCHAR NOT NULL,
    unit    VARCHAR NOT NULL,           -- entries, links, lines, ...
    outcome VARCHAR NOT NULL,           -- 'kept', or the reason for dropping
    rows    UBIGINT NOT NULL,
    PRIMARY KEY (source, unit, outcome)
);

CREATE TABLE words (
    word VARCHAR NOT NULL,              -- in Unicode NFC, case as the source has it
    key  VARCHAR NOT NULL,              -- lower-cased, for joins
    lang VARCHAR NOT NULL,              -- ISO 639 code
    PRIMARY KEY (word, lang)
);
CREATE INDEX words_key ON words (key);

CREATE TABLE senses (
    id     UBIGINT PRIMARY KEY,
    word   VARCHAR NOT NULL,
    lang   VARCHAR NOT NULL,
    pos    VARCHAR,                     -- noun, verb, adj, adv, ...
    gloss  VARCHAR NOT NULL,
    tags   VARCHAR[],
    source VARCHAR NOT NULL
);

CREATE TABLE relations (
    id           UBIGINT PRIMARY KEY,
    word         VARCHAR NOT NULL,
    related      VARCHAR NOT NULL,
    lang         VARCHAR NOT NULL,
    kind         VARCHAR NOT NULL,      -- related is a <kind> of word: synonym, antonym, hypernym, ...
    pos          VARCHAR,
    sense        UBIGINT,               -- senses.id, where the source ties the edge to a sense
    note         VARCHAR,               -- the source's own words for the sense or group
    source       VARCHAR NOT NULL,      -- sources.name, or 'negation' for a derived edge
    rule         VARCHAR,               -- derived edges: the affix or affixes that were taken off
    derived_from UBIGINT,               -- derived edges: relations.id of the stated parent
    negated      VARCHAR[]              -- derived edges: the negated words whose bases take their place
);
CREATE INDEX relations_word ON relations (word);
CREATE INDEX relations_related ON relations (related);

CREATE TABLE morphology (
    word          VARCHAR NOT NULL,
    lang          VARCHAR NOT NULL,
    pos           VARCHAR,
    segmentation  VARCHAR NOT NULL,     -- MorphoLEX notation, e.g. <un<{(change)}>able>
    prefixes      VARCHAR[] NOT NULL,
    roots         VARCHAR[] NOT NULL,
    suffixes      VARCHAR[] NOT NULL,
    source        VARCHAR NOT NULL,     -- 'negation' where no table segments the word
    negates       BOOLEAN NOT NULL DEFAULT false,
    base          VARCHAR,              -- the word that this one negates, when negates
    affix         VARCHAR,              -- negation_rules.affix
    negation_kind VARCHAR,              -- contrary, lack, reversal or opposition
    evidence      VARCHAR[]             -- what carried the decision
);
CREATE INDEX morphology_word ON morphology (word);

CREATE TABLE negation_rules (
    affix     VARCHAR NOT NULL,         -- un-, -less, ...
    spelling  VARCHAR NOT NULL,         -- the letters to take off
    restore   VARCHAR NOT NULL,         -- the letters to put back (penniless: -iless, penn + y)
    position  VARCHAR NOT NULL,         -- prefix or suffix
    morpholex VARCHAR,                  -- how MorphoLEX writes it
    kind      VARCHAR NOT NULL,         -- contrary, lack, reversal, opposition
    pos       VARCHAR[] NOT NULL,       -- parts of speech of the negated word
    base_pos  VARCHAR[] NOT NULL,       -- parts of speech of the base
    enough    VARCHAR[] NOT NULL,       -- pieces of evidence each of which suffices
    PRIMARY KEY (affix, spelling, kind)
);

-- What people query first: each unordered pair once, with every source that states or yields it.
CREATE VIEW synonyms AS
    SELECT least(word, related) AS word, greatest(word, related) AS related, lang,
           list_sort(list(DISTINCT source)) AS sources
    FROM relations WHERE kind = 'synonym' GROUP BY ALL;

CREATE VIEW antonyms AS
    SELECT least(word, related) AS word, greatest(word, related) AS related, lang,
           list_sort(list(DISTINCT source)) AS sources
    FROM relations WHERE kind = 'antonym' GROUP BY ALL;
