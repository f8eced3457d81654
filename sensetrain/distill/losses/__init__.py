"""The terms of the loss: logits, states and the teacher's distribution in, sums over positions and gradients out.

plain         cross-entropy and divergences on all logits at once: the definition
divergence    KL, reverse KL and Jensen-Shannon of one outcome, and their gradients by hand
logit_block   both terms of a block of logits, with the gradient in place of the logits
chunked       `head_loss`, which training uses: the LM head and `logit_block`, a chunk of positions at a time
sense_term    the pull towards positive senses and the hinge of the push away from negative ones
"""
