"""The terms of the loss: logits, states and what the teacher says in, sums over positions and gradients out."""
