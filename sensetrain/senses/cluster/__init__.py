"""Each token's states in, the rows that are its senses out."""
