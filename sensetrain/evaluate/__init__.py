"""How good models and dictionaries are: both in, scores with intervals out."""
