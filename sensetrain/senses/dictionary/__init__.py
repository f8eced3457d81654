"""The sense dictionary: read and written, checked, edited, shared on the hub."""

from sensetrain.senses.dictionary.dictionary import SenseDictionary

__all__ = ["SenseDictionary"]
