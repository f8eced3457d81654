-- The full-text index of the glosses that may match. English stop words stay: "not happy" is about the not.
PRAGMA create_fts_index('glosses', 'id', 'gloss', stemmer = 'porter', stopwords = 'none', ignore = '[^\p{L}\p{N}]+');
