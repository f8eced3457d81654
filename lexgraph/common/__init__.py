"""What lexgraph and sensetrain share: errors for users, safe file writing, the terminal."""
