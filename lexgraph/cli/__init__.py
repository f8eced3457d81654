"""The `lexgraph` command."""

from __future__ import annotations

import sys


def main() -> None:
    """Run the command."""
    try:
        # What it imports takes a while, and Ctrl-C may come before there is a command to answer it.
        from lexgraph.cli.group import cli
        from lexgraph.common.command import run
    except KeyboardInterrupt:
        sys.stderr.write("lexgraph: interrupted\n")
        sys.exit(130)
    run(cli, "lexgraph")
