"""sensetrain: dictionaries of token senses from a teacher's last hidden states, and students that learn them."""

from lexgraph import __version__

__all__ = ["__version__"]
