"""The benchmarks of DSKD 5.2: files to records, splits, items and prompts, for training and evaluation."""
