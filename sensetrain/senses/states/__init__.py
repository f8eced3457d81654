"""One teacher pass: a plan's batches in, each state at its place in one file out."""
