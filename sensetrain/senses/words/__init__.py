"""A dictionary and a graph of words in; senses of words of several tokens, and the senses of neighbours, out."""
