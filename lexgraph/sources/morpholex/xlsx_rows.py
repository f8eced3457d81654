"""The rows of an .xlsx workbook as JSON lines, a program: `python xlsx_rows.py FILE PATTERN BYTES`.

calamine makes one table of everything between a sheet's first cell and its last, and ends the process when that does
not fit into memory: a single cell in the last corner of a sheet takes 400 GB. So it gets a process and a limit of its
own. This file imports nothing of lexgraph, whose libraries would take more time and memory than the workbook.
"""

from __future__ import annotations

import contextlib
import json
import re
import resource
import sys
from typing import Any

from python_calamine import CalamineWorkbook


def main(path: str, pattern: str, limit: int) -> None:
    """Write the sheets whose name fits the pattern: `{"sheet": name}`, then `[cell, ...]` for each row.

    Args:
        path: the workbook.
        pattern: a regular expression for the whole name of a sheet.
        limit: bytes of memory.
    """
    with contextlib.suppress(ValueError, OSError):  # not every system has these limits
        resource.setrlimit(resource.RLIMIT_CORE, (0, 0))
        resource.setrlimit(resource.RLIMIT_AS, (limit, limit))
    workbook = CalamineWorkbook.from_path(path)
    for name in workbook.sheet_names:
        if re.fullmatch(pattern, name):
            print(json.dumps({"sheet": name}))
            for row in workbook.get_sheet_by_name(name).to_python():
                print(json.dumps([_text(cell) for cell in row]))


def _text(cell: Any) -> str:
    """A cell as a spreadsheet shows it: TRUE, not True."""
    return str(cell).upper() if isinstance(cell, bool) else str(cell)


if __name__ == "__main__":
    try:
        main(sys.argv[1], sys.argv[2], int(sys.argv[3]))
    except BaseException as error:  # a panic of calamine is no Exception
        sys.exit(f"{type(error).__name__}: {error}")
