"""Which states to collect: tokens in, a sample of their occurrences in batches out."""
