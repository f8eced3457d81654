"""Senses of words: composed from those of their tokens, and those of their synonyms and antonyms in the graph."""
