"""Running a command as a program: errors without a traceback, interruptions with what to do."""

from __future__ import annotations

import os
import sys

import rich_click as click

from lexgraph.common.errors import UserError
from lexgraph.common.terminal import err


def run(command: click.Command, program: str) -> None:
    """Run a click command as a program: user errors end in a message and status 1, interruptions in 130."""
    try:
        status = command.main(prog_name=program, standalone_mode=False)
        sys.exit(status if isinstance(status, int) else 0)
    except UserError as error:
        err.print(f"{program}: error: {error}", markup=False, style="red", soft_wrap=True)
        sys.exit(1)
    except OSError as error:
        err.print(
            f"{program}: error: {error.filename or ''}: {os.strerror(error.errno or 0)}", markup=False, style="red"
        )
        sys.exit(1)
    except click.ClickException as error:
        error.show()
        sys.exit(error.exit_code)
    except (KeyboardInterrupt, click.Abort):
        err.print(f"{program}: interrupted; what is finished is kept, run the same command to go on", markup=False)
        sys.exit(130)
