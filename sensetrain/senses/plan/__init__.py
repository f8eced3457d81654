"""Tokens in, a plan out: which occurrences of each token are sampled, and in which batches the teacher reads them."""
