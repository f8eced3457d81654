"""Documents in, sequences of token ids out."""
