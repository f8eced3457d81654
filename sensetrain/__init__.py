"""sensetrain: sense dictionaries from a teacher's last hidden states, and students that learn them."""
