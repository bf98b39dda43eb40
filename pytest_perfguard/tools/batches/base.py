"""Kinds, limits and statistics that both batch processors share."""

from __future__ import annotations

from collections.abc import Callable, Mapping
from contextvars import ContextVar
from dataclasses import asdict, replace
from typing import Any, Final, Generic, TypeVar

from pytest_perfguard.core.tool_errors import BatchClosed, BatchError, BatchSizeError
from pytest_perfguard.tools.batches.state import (
    MAX_BATCHES_WAITING,
    Batch,
    BatchLimits,
    BatchQueue,
    BatchStats,
    WrongResultCount,
    checked_results,
    merge_equal,
    raisable,
)

#: Whether this code runs within a processor. Items that it submits are accepted until all work is done.
INSIDE: Final[ContextVar[bool]] = ContextVar("perfguard_inside_a_batch", default=False)


class BatchWorker:
    """Base class of the queue and the processor of one kind."""

    def __init__(self, kind: str, processor: Callable[[list[Any]], object], queue: BatchQueue) -> None:
        self.kind = kind
        self.processor = processor
        self.queue = queue
        self.closed = False

    def check_open(self) -> None:
        """Refuse items after the end.

        Raises
        ------
        BatchClosed
        """
        if self.closed or (self.queue.closed and not INSIDE.get()):
            raise BatchClosed(self.kind, "the processor is closed")

    def flush(self) -> None:
        """Process the queued items now."""
        raise NotImplementedError

    def stats(self) -> BatchStats:
        """Return the statistics of this moment."""
        return self.queue.stats()

    def items_of(self, batch: Batch) -> tuple[list[object], list[int] | None]:
        """Return the items for the processor, and where equal ones were merged the place of each caller's item."""
        return merge_equal(batch.items) if self.queue.limits.merge else (list(batch.items), None)

    def results_of(self, returned: object, batch: Batch, places: list[int] | None) -> list[object]:
        """Return one result for each caller.

        Raises
        ------
        WrongResultCount
        """
        if places is None:
            return checked_results(returned, len(batch.items))
        results = checked_results(returned, max(places) + 1)
        return [results[place] for place in places]

    def full_text(self, timeout: float | None) -> str:
        """Return the problem of a caller that found no room."""
        return f"no room in the queue within {timeout or 0:g} s: {self.queue.limits.max_queue} items wait"

    def batch_error(self, error: BaseException) -> BaseException:
        """Return the error for all callers of a failed batch."""
        if isinstance(error, WrongResultCount):
            return BatchSizeError(self.kind, str(error))
        if isinstance(error, Exception):
            return raisable(error)
        return BatchError(self.kind, f"the processor was ended by {type(error).__name__}: {error}")


WorkerT = TypeVar("WorkerT", bound=BatchWorker)


class BatchBase(Generic[WorkerT]):
    """Base class of the batch processors."""

    def __init__(
        self,
        make: Callable[[str, Any, BatchLimits], WorkerT],
        processors: Mapping[str, Callable[[list[Any]], object]],
        max_size: int,
        max_delay: float,
        max_queue: int | None,
        concurrency: int,
        merge: bool,
    ) -> None:
        self._make = make
        self._max_queue = max_queue
        max_queue = MAX_BATCHES_WAITING * max_size if max_queue is None else max_queue
        self._limits = BatchLimits(max_size, max_delay, max_queue, concurrency, merge)
        self._workers: dict[str, WorkerT] = {}
        self._closed = False
        for kind, processor in processors.items():
            self.register(kind, processor)

    def register(
        self,
        kind: str,
        processor: Callable[[list[Any]], object],
        *,
        max_size: int | None = None,
        max_delay: float | None = None,
        max_queue: int | None = None,
        concurrency: int | None = None,
        merge: bool | None = None,
    ) -> None:
        """Add a kind. Limits that are not given are those of the whole processor."""
        if self._closed:
            raise BatchClosed(kind, "the processor is closed")
        if kind in self._workers:
            raise ValueError(f"a processor for {kind!r} is registered already")
        if not callable(processor):
            raise TypeError(f"the processor for {kind!r} is {processor!r}: give a function that takes a list of items")
        if max_queue is None and self._max_queue is None and max_size is not None:
            max_queue = MAX_BATCHES_WAITING * max_size
        given = {
            "max_size": max_size, "max_delay": max_delay, "max_queue": max_queue, "concurrency": concurrency,
            "merge": merge,
        }  # fmt: skip
        changed: dict[str, Any] = {name: value for name, value in given.items() if value is not None}
        self._workers[kind] = self._make(kind, processor, replace(self._limits, **changed))

    def stats(self, kind: str | None = None) -> BatchStats:
        """Return the statistics of one kind, or of all kinds together."""
        if kind is not None:
            return self._worker(kind).stats()
        return sum((worker.stats() for worker in list(self._workers.values())), BatchStats())

    def statistics(self) -> dict[str, float]:
        """Return the statistics of all kinds as a mapping: `monitor.watch("batch", processor.statistics)`."""
        return asdict(self.stats())

    def flush(self) -> None:
        """Process the queued items now, without waiting for full batches."""
        for worker in list(self._workers.values()):
            worker.flush()

    #: Called by a `MemoryManager` when memory is short.
    free_memory = relieve = flush

    def __repr__(self) -> str:
        return f"<{type(self).__name__} {', '.join(self._workers) or 'without kinds'}>"

    def _worker(self, kind: str) -> WorkerT:
        worker = self._workers.get(kind)
        if worker is None:
            known = ", ".join(map(str, self._workers)) or "none"
            raise BatchError(kind, f"no processor is registered (there are: {known})")
        return worker
