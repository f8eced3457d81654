"""What every result is: a folder with a manifest of what made it from what, filled by one process or by many."""
