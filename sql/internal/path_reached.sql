-- The words that a search between two words has come to: from which side, over how many edges and paths, and from which word.
CREATE OR REPLACE TEMP TABLE reached (
    side VARCHAR, word VARCHAR, lang VARCHAR, depth INTEGER, paths HUGEINT, via VARCHAR
);
