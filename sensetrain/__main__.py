"""`python -m sensetrain`."""

from sensetrain.cli import main

main()
