"""`--engine ray`: tokenizing and planning on a Ray cluster, with the same result as on one machine.

What decides the result stays in one process, and is the same code: which documents count, how sequences are numbered
and written, and the draw. The cluster does what is the same for each part wherever it is done: a batch of documents to
ids, a shard of the tokens to its sample.
"""

from __future__ import annotations

import functools
import importlib
import os
import socket
import tempfile
from collections import deque
from collections.abc import Callable, Iterable, Iterator, Sequence
from contextlib import contextmanager
from pathlib import Path
from typing import Any, TypeVar

from lexgraph.common.errors import UserError
from lexgraph.common.folders import beside
from sensetrain.artefacts.manifest import Manifest
from sensetrain.models.folder import ModelFolder
from sensetrain.senses.plan import shards
from sensetrain.senses.plan.occurrences import Shard
from sensetrain.senses.settings import PlanSettings
from sensetrain.text import tokens as corpus
from sensetrain.text.documents import Source
from sensetrain.text.settings import TokenizeSettings

A = TypeVar("A")
B = TypeVar("B")

_WAITING = 2
"""Batches for each processor: one at work, one that waits for it."""


def tokenize(sources: Sequence[Source], teacher: ModelFolder, out: Path, settings: TokenizeSettings) -> Manifest:
    """As `corpus.tokenize`: documents are encoded on the cluster, read and written here."""
    with connected():
        return corpus.tokenize(sources, teacher, out, settings, in_order)


def plan(tokens: Path, out: Path, settings: PlanSettings, predicted: Path | None = None) -> Manifest:
    """As `plan.plan`: the cluster draws from one shard for each of its processors, and they are merged here.

    All folders lie where every machine of the cluster sees them under the same path.

    Raises:
        UserError: the plan cannot be made of shards.
    """
    shards.check_divisible(settings)
    unfinished = beside(out, "shards-")
    unfinished.parent.mkdir(parents=True, exist_ok=True)
    with connected(), tempfile.TemporaryDirectory(prefix=unfinished.name, dir=unfinished.parent) as parts:
        draw = functools.partial(_shard, tokens.absolute(), Path(parts), settings, predicted and predicted.absolute())
        made = [path for _, path in in_order(draw, Shard(1, _processors()).all())]
        return shards.merge(made, out)


def _shard(tokens: Path, parts: Path, settings: PlanSettings, predicted: Path | None, shard: Shard) -> Path:
    """Draw one shard into its place in `parts`."""
    out = parts / str(shard.number)
    shards.plan_shard(tokens, out, settings, shard, predicted)
    return out


def in_order(function: Callable[[A], B], items: Iterable[A]) -> Iterator[tuple[A, B]]:
    """The items, in order, each with its result from the cluster; see `encoding.InOrder`.

    Only a few items are read ahead of the one that is handed out, so there may be any number of them. The function
    goes to each worker once.
    """
    ray = _ray()
    most = _WAITING * _processors()
    task, held = ray.remote(_apply), ray.put(function)
    ahead: deque[tuple[A, Any]] = deque()
    source = iter(items)
    failure: Exception | None = None
    while True:
        while failure is None and len(ahead) < most:
            # What is wrong further on counts once it is reached, which it is not if there is a limit.
            try:
                item = next(source)
            except Exception as error:
                failure = error
            else:
                ahead.append((item, task.remote([held], item)))
        if not ahead:
            break
        item, result = ahead.popleft()
        try:
            value = ray.get(result)
        except ray.exceptions.RayTaskError as error:
            if isinstance(error.cause, UserError):
                raise error.cause from None
            raise
        yield item, value
    if failure and not isinstance(failure, StopIteration):
        raise failure


def _apply(held: list[Any], item: Any) -> Any:
    """The work of a task; `held` is in a list, since Ray would fetch a bare reference for each task anew."""
    return _fetched(held[0])(item)


@functools.lru_cache(maxsize=1)
def _fetched(reference: Any) -> Callable[[Any], Any]:
    """The function behind a reference, once for each process: a tokenizer takes long to unpack."""
    function: Callable[[Any], Any] = _ray().get(reference)
    return function


@contextmanager
def connected() -> Iterator[None]:
    """A connection to the cluster at RAY_ADDRESS, or to one of this machine alone; one that is there already is kept.

    Raises:
        UserError: Ray is not installed, or the cluster cannot be reached.
    """
    ray = _ray()
    if ray.is_initialized():
        yield
        return
    address = os.environ.get("RAY_ADDRESS") or "local"
    # A task has one processor, so the tokenizer's library is to take no more.
    workers = {"env_vars": {"RAYON_NUM_THREADS": "1"}}
    try:
        _knock(address)
        ray.init(
            address,
            include_dashboard=False if address == "local" else None,
            log_to_driver=False,
            logging_level="warning",
            runtime_env=workers,
        )
    except (OSError, RuntimeError, ValueError) as error:
        raise UserError(f"no connection to Ray: {error}", path=address, field="RAY_ADDRESS") from None
    try:
        yield
    finally:
        ray.shutdown()


def _knock(address: str) -> None:
    """Raise OSError if nobody listens at HOST:PORT, which Ray itself would wait for by the minute."""
    host, colon, port = address.rpartition(":")
    if colon and port.isdecimal() and "/" not in host:
        socket.create_connection((host, int(port)), timeout=10).close()


def _processors() -> int:
    """How many processors the cluster has."""
    return max(1, int(_ray().cluster_resources().get("CPU", 1)))


def _ray() -> Any:
    """The library, which is optional.

    Raises:
        UserError: it is not installed.
    """
    try:
        return importlib.import_module("ray")
    except ModuleNotFoundError:
        raise UserError(
            "the library `ray` is not installed", field="engine", remedy="pip install 'lexgraph[ray]'"
        ) from None
