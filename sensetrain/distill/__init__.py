"""Decoder students: a teacher, tokens and senses in, a smaller checkpoint out."""
