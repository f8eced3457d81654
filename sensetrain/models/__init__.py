"""Models: a name in, a checked folder, a loaded model or a smaller one out."""
