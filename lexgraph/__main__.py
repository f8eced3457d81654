"""`python -m lexgraph`."""

from lexgraph.cli import main

main()
