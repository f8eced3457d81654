"""`--engine ray`: text to tokens and tokens to a plan on a Ray cluster, with the same result as on one machine.

One process decides the result, with the same code as without Ray: which documents count, how sequences are numbered and
written, how shards are merged. The cluster does what does not depend on other parts: a batch of documents to ids, a
shard of the tokens to its sample.
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
from sensetrain.senses.plan import plan_shards
from sensetrain.senses.plan.training_sequences import Shard
from sensetrain.senses.settings import PlanSettings
from sensetrain.text import tokenize as corpus
from sensetrain.text.settings import TokenizeSettings
from sensetrain.text.sources import Source

A = TypeVar("A")
B = TypeVar("B")

_ITEMS_PER_PROCESSOR = 2
"""One that is worked on, and one that waits, so that no processor does."""


def tokenize(sources: Sequence[Source], teacher: ModelFolder, out: Path, settings: TokenizeSettings) -> Manifest:
    """As `corpus.tokenize`; documents are read and written here, and encoded on the cluster."""
    with connected():
        return corpus.tokenize(sources, teacher, out, settings, in_order)


def plan(tokens: Path, out: Path, settings: PlanSettings, predicted: Path | None = None) -> Manifest:
    """As `plan.plan`; the cluster plans one shard for each of its processors, and they are merged here.

    Every machine of the cluster must see all folders under the same path.

    Raises:
        UserError: the plan cannot be made of shards.
    """
    plan_shards.check_divisible(settings)
    unfinished = beside(out, "shards-")
    unfinished.parent.mkdir(parents=True, exist_ok=True)
    with connected(), tempfile.TemporaryDirectory(prefix=unfinished.name, dir=unfinished.parent) as parts:
        plan_part = functools.partial(
            _plan_shard, tokens.absolute(), Path(parts), settings, predicted and predicted.absolute()
        )
        made = [path for _, path in in_order(plan_part, Shard(1, _processors()).all())]
        return plan_shards.merge(made, out)


def _plan_shard(tokens: Path, parts: Path, settings: PlanSettings, predicted: Path | None, shard: Shard) -> Path:
    """Plan one shard into a folder of its own in `parts`."""
    out = parts / str(shard.number)
    plan_shards.plan_shard(tokens, out, settings, shard, predicted)
    return out


def in_order(function: Callable[[A], B], items: Iterable[A]) -> Iterator[tuple[A, B]]:
    """Each item with its result from the cluster, in order; see `encoding.OrderedMap`.

    Only a few items are read ahead, so `items` may be of any length. The function is sent to each worker once.
    """
    ray = _ray()
    most = _ITEMS_PER_PROCESSOR * _processors()
    task, reference = ray.remote(_apply), ray.put(function)
    ahead: deque[tuple[A, Any]] = deque()
    source = iter(items)
    end: Exception | None = None
    while True:
        while end is None and len(ahead) < most:
            # An error while reading ahead counts when its item's turn comes; with a limit it may never come.
            try:
                item = next(source)
            except Exception as error:
                end = error
            else:
                ahead.append((item, task.remote([reference], item)))
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
    if end and not isinstance(end, StopIteration):
        raise end


def _apply(function: list[Any], item: Any) -> Any:
    """Apply a function on a worker; its reference is in a list, since Ray would fetch a bare one for each task anew."""
    return _fetched(function[0])(item)


@functools.lru_cache(maxsize=1)
def _fetched(reference: Any) -> Callable[[Any], Any]:
    """The function behind a reference, fetched once in each process, since a tokenizer takes long to unpack."""
    function: Callable[[Any], Any] = _ray().get(reference)
    return function


@contextmanager
def connected() -> Iterator[None]:
    """A connection to the cluster at RAY_ADDRESS, else to a new one on this machine; an open connection is kept.

    Raises:
        UserError: Ray is not installed, or the cluster cannot be reached.
    """
    ray = _ray()
    if ray.is_initialized():
        yield
        return
    address = os.environ.get("RAY_ADDRESS") or "local"
    # A task has one processor; the tokenizer's library would start threads for all.
    workers = {"env_vars": {"RAYON_NUM_THREADS": "1"}}
    try:
        _require_listening(address)
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


def _require_listening(address: str) -> None:
    """Raise OSError if nobody listens at HOST:PORT; Ray itself would wait for minutes."""
    host, colon, port = address.rpartition(":")
    if colon and port.isdecimal() and "/" not in host:
        socket.create_connection((host, int(port)), timeout=10).close()


def _processors() -> int:
    """How many processors the cluster has."""
    return max(1, int(_ray().cluster_resources().get("CPU", 1)))


def _ray() -> Any:
    """The library `ray`, which is an extra.

    Raises:
        UserError: it is not installed.
    """
    try:
        return importlib.import_module("ray")
    except ModuleNotFoundError:
        raise UserError(
            "the library `ray` is not installed", field="engine", remedy="pip install 'lexgraph[ray]'"
        ) from None
