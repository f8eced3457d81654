"""The `lexgraph` command."""

from __future__ import annotations

import sys


def main() -> None:
    """Run the command."""
    try:
        # What it imports takes a while, and Ctrl-C may come before there is a command to answer it.
        import duckdb

        from lexgraph.cli.main import cli
        from lexgraph.common.command import run
        from lexgraph.common.terminal import say
    except KeyboardInterrupt:
        sys.stderr.write("lexgraph: interrupted\n")
        sys.exit(130)
    try:
        run(cli, "lexgraph")
    except duckdb.OutOfMemoryException as error:
        reason = str(error).partition("\n")[0]  # what follows is advice on settings that are not the user's to change
        say(f"lexgraph: error: {reason}\n  remedy: free some memory, or use a machine that has more")
        sys.exit(1)
