"""Folders of results: whole or absent, made by one process at a time, and nothing of the user's replaced by them.

A folder that is named as the place of a result is replaced whole. So it may be one of three: not there, empty, or one
that holds an earlier result and nothing else. What an earlier result consists of, its maker's manifest says; `Listed`
reads it.
"""

from __future__ import annotations

import os
import shutil
from collections.abc import Callable, Collection, Iterable, Iterator
from contextlib import contextmanager
from pathlib import Path

from filelock import FileLock, Timeout

from lexgraph.common.errors import UserError
from lexgraph.common.files import place_of
from lexgraph.common.terminal import say

MARK = ".purpose.json"
"""A file in each folder that is unfinished or on its way out, which tells it from a folder of the user's."""

Listed = Callable[[Path], Collection[str] | None]
"""The names of the files that make up the result in a folder, as its manifest lists them, the manifest included; None
if the folder holds no result that may be replaced."""

_SHOWN = 3


def beside(path: Path, ending: str) -> Path:
    """The hidden neighbour of a result: `.NAME.ending`."""
    place = place_of(path)
    return place.with_name(f".{place.name}.{ending}")


def partial_of(path: Path) -> Path:
    """Where a folder lies while it is unfinished."""
    return beside(path, "partial")


def require_replaceable(path: Path, listed: Listed) -> None:
    """Refuse a place for a result where something would be lost.

    Args:
        path: the folder to make; through a link, the one that it points to.
        listed: see `Listed`.

    Raises:
        UserError: a file stands there, the folder holds something else than an earlier result, or it cannot be
            replaced as a folder at all.
    """
    place = place_of(path)
    if not place.exists():
        return
    if not place.is_dir():
        raise UserError("a file stands there, where a folder is to be made", path=path, remedy="choose another name")
    if place == Path.cwd() or os.path.ismount(place):
        raise UserError(
            "the folder itself would be replaced, and you are in it or a disk is mounted there",
            path=path,
            remedy="name a new folder below it",
        )
    names = {entry.name for entry in place.iterdir()} - {MARK}
    if not names:
        return
    ours = listed(place)
    if ours is None:
        raise UserError(
            f"the folder holds {_some(names)}, not an earlier result of this command, and would be replaced",
            path=path,
            remedy="name a new folder, or remove this one first",
        )
    if foreign := _files(place) - {*ours, MARK}:
        raise UserError(
            f"the folder holds an earlier result, which would be replaced, and beside it {_some(foreign)}",
            path=path,
            remedy="move that to another place, or name a new folder",
        )


def require_apart(out: Path, read: Iterable[Path]) -> None:
    """Refuse a result in the place of what it is made from.

    Raises:
        UserError: it would replace one of the folders that are read.
    """
    if any(place_of(path) == place_of(out) for path in read):
        raise UserError("the result would replace what it is made from", path=out, remedy="choose another name")


def _files(folder: Path) -> set[str]:
    """Everything in a folder that could hold something: files, and links of any kind."""
    found = set()
    for inside, folders, files in os.walk(folder):
        links = [name for name in folders if Path(inside, name).is_symlink()]
        found |= {str(Path(inside, name).relative_to(folder)) for name in (*files, *links)}
    return found


def _some(names: Collection[str]) -> str:
    shown = ", ".join(sorted(names)[:_SHOWN])
    return f"{shown} and {len(names) - _SHOWN} more" if len(names) > _SHOWN else shown


@contextmanager
def alone_at(path: Path, *, wait: bool = False) -> Iterator[None]:
    """No other process or thread makes this result meanwhile; a process that has it already may take it again.

    Args:
        path: the result's place.
        wait: wait for the other one, rather than refuse.

    Raises:
        UserError: another one makes it.
    """
    file = beside(path, "lock")
    file.parent.mkdir(parents=True, exist_ok=True)
    lock = FileLock(file, is_singleton=True)
    try:
        lock.acquire(timeout=0)
    except Timeout:
        if not wait:
            raise UserError(
                "another process makes something here", path=path, remedy="wait for it, or choose another name"
            ) from None
        say(f"{path}: waiting for another process that makes it")
        lock.acquire(timeout=-1)
    try:
        yield
    finally:
        if lock.lock_counter == 1:
            file.unlink(missing_ok=True)
        lock.release()


@contextmanager
def replacing_folder(
    path: Path, listed: Listed = lambda _: None, *, keep_partial: bool = False, wait: bool = False
) -> Iterator[Path]:
    """Give a folder to fill; it takes the place of `path` if the block succeeds.

    What stood at `path` goes only once the new one is whole. A link stays, and what it points to is replaced.

    Args:
        path: the folder to make.
        listed: see `Listed`; without it, the folder may only be empty.
        keep_partial: leave the unfinished folder where it is when the block is interrupted and hand it
            out again next time, for work that goes on where it stopped. One that is still empty goes.
        wait: wait for another process that makes something here.

    Raises:
        UserError: something would be lost (`require_replaceable`), or another process makes something here.
    """
    require_replaceable(path, listed)
    place, partial, old = place_of(path), partial_of(path), beside(path, "old")
    with alone_at(path, wait=wait):
        _restore(old, place)
        if not keep_partial:
            discard(partial)
        _require_own(partial)
        partial.mkdir(exist_ok=True)
        mark = partial / MARK
        mark.touch()
        try:
            yield partial
        except BaseException:
            if not keep_partial or not any(entry.name != MARK for entry in partial.iterdir()):
                discard(partial)
            raise
        _as_readable_as(mark)
        try:
            require_replaceable(path, listed)
        except UserError as error:
            raise UserError(
                error.message, path=path, remedy=f"the new result is whole and lies in {partial}: put it where you like"
            ) from None
        if place.exists():
            (place / MARK).touch()
            place.replace(old)
        partial.replace(place)
        (place / MARK).unlink()
        discard(old)


def _restore(old: Path, place: Path) -> None:
    """Put back, or remove, what a process left that died while it replaced one folder by another."""
    if place.exists():
        discard(old)
    elif old.is_dir():
        _require_own(old)
        old.replace(place)
        (place / MARK).unlink(missing_ok=True)


def discard(folder: Path) -> None:
    """Remove an unfinished folder or one that was replaced, if it is there.

    Raises:
        UserError: it is none of ours.
    """
    _require_own(folder)
    if not folder.is_dir():
        return
    for entry in folder.iterdir():
        # The mark goes last: what an interrupted removal leaves is still known as ours.
        if entry.name == MARK:
            continue
        if entry.is_dir() and not entry.is_symlink():
            shutil.rmtree(entry)
        else:
            entry.unlink()
    (folder / MARK).unlink(missing_ok=True)
    folder.rmdir()


def _require_own(folder: Path) -> None:
    if folder.is_symlink() or folder.is_file():
        ours = False
    else:
        ours = not folder.is_dir() or (folder / MARK).is_file() or not any(folder.iterdir())
    if not ours:
        raise UserError(
            "something else has the place of an unfinished result",
            path=folder,
            remedy="move it away, or choose another name for the result",
        )


def _as_readable_as(mark: Path) -> None:
    """Let whoever may read the mark, which the umask decided, read everything: some writers make private files."""
    mode = mark.stat().st_mode & 0o777
    for inside, _, files in os.walk(mark.parent):
        for file in (Path(inside, name) for name in files):
            if not file.is_symlink() and mode & ~file.stat().st_mode:
                file.chmod(file.stat().st_mode & 0o777 | mode)
