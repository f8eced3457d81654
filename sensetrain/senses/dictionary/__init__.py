"""The sense dictionary: read and written, checked, edited, looked into, shared."""
