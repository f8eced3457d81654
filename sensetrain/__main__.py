"""`python -m sensetrain`."""

from sensetrain.cli.main import main

main()
