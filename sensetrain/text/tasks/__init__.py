"""The benchmarks of DSKD 5.2: their files, cuts and prompts, for training and for evaluation alike."""
