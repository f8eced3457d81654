"""States in, a sense dictionary out."""
