"""What both batch processors have in common: kinds, their lanes, and what is said of them."""

from __future__ import annotations

from collections.abc import Callable, Mapping
from contextvars import ContextVar
from dataclasses import asdict, replace
from typing import Any, Final

from pytest_perfguard.core.tool_errors import BatchClosed, BatchError, BatchSizeError
from pytest_perfguard.tools.batches.state import (
    MAX_BATCHES_WAITING,
    BatchLimits,
    BatchQueue,
    BatchStats,
    WrongResultCount,
    raisable,
)

#: Is this code a processor at work? What it submits in its turn is taken until all is done.
INSIDE: Final[ContextVar[bool]] = ContextVar("perfguard_inside_a_batch", default=False)


class BatchWorker:
    """The queue and the processor of one kind. Not to be used by itself."""

    def __init__(self, kind: str, processor: Callable[[list[Any]], Any], limits: BatchLimits) -> None:
        self.kind = kind
        self.processor = processor
        self.queue = BatchQueue(limits)
        self.closed = False

    def check_open(self) -> None:
        """Refuse whoever comes too late.

        Raises
        ------
        BatchClosed
        """
        if self.closed or (self.queue.closed and not INSIDE.get()):
            raise BatchClosed(self.kind, "the processor is closed")

    def flush(self) -> None:
        """Process what waits now."""
        raise NotImplementedError

    def stats(self) -> BatchStats:
        """The numbers of this moment."""
        return self.queue.stats()

    def full_text(self, timeout: float | None) -> str:
        """Who found no room."""
        return f"no room in the queue within {timeout or 0:g} s: {self.queue.limits.max_queue} items wait"

    def batch_error(self, error: BaseException) -> BaseException:
        """What all callers of a failed batch get."""
        if isinstance(error, WrongResultCount):
            return BatchSizeError(self.kind, str(error))
        if isinstance(error, Exception):
            return raisable(error)
        return BatchError(self.kind, f"the processor was ended by {type(error).__name__}: {error}")


class BatchBase:
    """Not to be used by itself."""

    def __init__(
        self,
        make: Callable[[str, Any, BatchLimits], Any],
        processors: Mapping[str, Callable[[list[Any]], Any]],
        max_size: int,
        max_delay: float,
        max_queue: int | None,
        concurrency: int,
    ) -> None:
        self._make = make
        self._max_queue = max_queue
        self._limits = BatchLimits(max_size, max_delay, max_queue or MAX_BATCHES_WAITING * max_size, concurrency)
        self._workers: dict[str, Any] = {}
        self._closed = False
        for kind, processor in processors.items():
            self.register(kind, processor)

    def register(
        self,
        kind: str,
        processor: Callable[[list[Any]], Any],
        *,
        max_size: int | None = None,
        max_delay: float | None = None,
        max_queue: int | None = None,
        concurrency: int | None = None,
    ) -> None:
        """Add a kind; what is not given is as for all."""
        if self._closed:
            raise BatchClosed(kind, "the processor is closed")
        if kind in self._workers:
            raise ValueError(f"a processor for {kind!r} is registered already")
        if max_queue is None and self._max_queue is None and max_size is not None:
            max_queue = MAX_BATCHES_WAITING * max_size
        given = {"max_size": max_size, "max_delay": max_delay, "max_queue": max_queue, "concurrency": concurrency}
        changed: dict[str, Any] = {name: value for name, value in given.items() if value is not None}
        self._workers[kind] = self._make(kind, processor, replace(self._limits, **changed))

    def stats(self, kind: str | None = None) -> BatchStats:
        """The numbers of this moment: of one kind, or of all together."""
        if kind is not None:
            stats: BatchStats = self._worker(kind).stats()
            return stats
        return sum((lane.stats() for lane in list(self._workers.values())), BatchStats())

    def statistics(self) -> dict[str, float]:
        """Those of all kinds as numbers by name: `monitor.watch("batch", processor.statistics)`."""
        return asdict(self.stats())

    def flush(self) -> None:
        """Do not wait for full batches: what is queued now is due now."""
        for lane in list(self._workers.values()):
            lane.flush()

    relieve = flush

    def __repr__(self) -> str:
        return f"<{type(self).__name__} {', '.join(self._workers) or 'without kinds'}>"

    def _worker(self, kind: str) -> Any:
        lane = self._workers.get(kind)
        if lane is None:
            raise BatchError(kind, f"no processor is registered (there are: {', '.join(self._workers) or 'none'})")
        return lane
