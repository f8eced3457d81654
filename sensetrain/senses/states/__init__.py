"""A plan and a teacher in, states out: one pass over the batches of the plan."""
