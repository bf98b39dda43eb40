"""What a batch's queue decides. Pure: no threads, no loop, no clock."""

from __future__ import annotations

import logging
import math
from collections import deque
from collections.abc import Callable, Iterable, Mapping, Set, Sized
from dataclasses import asdict, dataclass
from itertools import islice
from typing import Any, Final, Literal

_log = logging.getLogger("perfguard.batch")

MAX_SIZE: Final = 50
MAX_DELAY: Final = 0.1
#: Batches that may wait for their turn, before callers must.
MAX_BATCHES_WAITING: Final = 10


@dataclass(frozen=True)
class BatchLimits:
    """When a batch is due, and how much may wait and run."""

    max_size: int = MAX_SIZE
    max_delay: float = MAX_DELAY
    max_queue: int = MAX_BATCHES_WAITING * MAX_SIZE
    concurrency: int = 1

    def __post_init__(self) -> None:
        for name in ("max_size", "max_queue", "concurrency"):
            if not getattr(self, name) >= 1:
                raise ValueError(f"{name} is {getattr(self, name)!r}: it must be at least 1")
        if not self.max_delay >= 0:
            raise ValueError(f"max_delay is {self.max_delay!r}: it must be at least 0 seconds")

    @property
    def full(self) -> int:
        """Items at which a batch is due."""
        return min(self.max_size, self.max_queue)


@dataclass(frozen=True)
class BatchStats:
    """The numbers of one kind, or of all."""

    items: int = 0
    """That were taken into batches."""
    batches: int = 0
    failures: int = 0
    """Batches whose processor failed."""
    item_errors: int = 0
    """Single items that the processor returned an error for."""
    cancelled: int = 0
    """Items whose caller went away before their batch began."""
    refused: int = 0
    """Items that found no room in the queue within their time."""
    queued: int = 0
    waiting: int = 0
    """Callers who wait for room in the queue."""
    running: int = 0
    """Batches in progress."""
    largest: int = 0
    """Items of the largest batch."""

    @property
    def mean_size(self) -> float:
        """Items per batch; NaN before the first."""
        return self.items / self.batches if self.batches else math.nan

    def __add__(self, other: BatchStats) -> BatchStats:
        ours, theirs = asdict(self), asdict(other)
        total = {name: ours[name] + theirs[name] for name in ours}
        return BatchStats(**{**total, "largest": max(self.largest, other.largest)})


class QueuedItem:
    """An item on its way. `future` is the caller's, of threads or of asyncio; `admit` is called once it has waited for room."""

    __slots__ = ("admit", "future", "item", "since")

    def __init__(self, item: Any, future: Any, admit: Callable[[], object] = lambda: None) -> None:
        self.item = item
        self.future = future
        self.admit = admit
        self.since = 0.0

    def begin(self) -> bool:
        """Is its caller still there? Asked once, when its batch begins."""
        return not self.future.cancelled()


class BatchQueue:
    """The items of one kind that wait for their batch, and behind them those that wait for room, in the order of their coming."""

    def __init__(self, limits: BatchLimits) -> None:
        self.limits = limits
        self.closed = False
        self.running = 0
        self._queue: deque[QueuedItem] = deque()
        self._waiting: deque[QueuedItem] = deque()
        self._flush_count = 0
        self._counts = dict.fromkeys(
            ("items", "batches", "failures", "item_errors", "cancelled", "refused", "largest"), 0
        )

    def offer(self, entry: QueuedItem, now: float) -> bool:
        """Take an item; False: there is no room, and `entry.admit` is called once there is."""
        if len(self._queue) < self.limits.max_queue and not self._waiting:
            entry.since = now
            self._queue.append(entry)
            return True
        self._waiting.append(entry)
        return False

    def withdraw(self, entry: QueuedItem, why: Literal["refused", "cancelled"] = "refused") -> bool:
        """Somebody does not wait for room any more; False: it has come in meanwhile."""
        try:
            self._waiting.remove(entry)
        except ValueError:
            return False
        self._counts[why] += 1
        return True

    def take_back(self, entry: QueuedItem) -> None:
        """Forget an item that came last, since nobody can process it."""
        for items in (self._queue, self._waiting):
            if entry in items:
                items.remove(entry)

    def due(self, now: float) -> float | None:
        """Seconds until a batch is due, 0 for now; None: nothing waits, or as many batches run as may."""
        if not self._queue or self.running >= self.limits.concurrency:
            return None
        if len(self._queue) >= self.limits.full or self._flush_count or self.closed:
            return 0.0
        return max(0.0, self._queue[0].since + self.limits.max_delay - now)

    def take(self, now: float) -> list[QueuedItem]:
        """The next batch, without those whose caller is gone; `done` must follow unless it is empty."""
        batch: list[QueuedItem] = []
        while self._queue and len(batch) < self.limits.max_size:
            entry = self._queue.popleft()
            self._flush_count = max(0, self._flush_count - 1)
            if entry.begin():
                batch.append(entry)
            else:
                self._counts["cancelled"] += 1
        self._admit_waiting(now)
        if batch:
            self.running += 1
            self._counts["batches"] += 1
            self._counts["items"] += len(batch)
            self._counts["largest"] = max(self._counts["largest"], len(batch))
        return batch

    def done(self, *, failed: bool = False, item_errors: int = 0) -> None:
        """A batch has ended."""
        self.running -= 1
        self._counts["failures"] += failed
        self._counts["item_errors"] += item_errors

    def flush(self) -> None:
        """What is in the queue now is due now."""
        self._flush_count = len(self._queue)

    @property
    def queued(self) -> int:
        """Items that wait for their batch."""
        return len(self._queue)

    @property
    def idle(self) -> bool:
        """Is there nothing to do?"""
        return not self._queue and not self._waiting and not self.running

    def stats(self) -> BatchStats:
        """The numbers of this moment."""
        return BatchStats(**self._counts, queued=len(self._queue), waiting=len(self._waiting), running=self.running)

    def _admit_waiting(self, now: float) -> None:
        while self._waiting and len(self._queue) < self.limits.max_queue:
            entry = self._waiting.popleft()
            entry.since = now
            self._queue.append(entry)
            entry.admit()


class WrongResultCount(ValueError):
    """A processor returned something else than one result for each item."""


def checked_results(results: Any, expected: int) -> list[Any]:
    """What a processor returned, as a list of as many results as it was given items.

    Raises
    ------
    WrongSize
    """
    if isinstance(results, str | bytes | Mapping | Set) or not isinstance(results, Iterable):
        raise WrongResultCount(
            f"the processor returned a {type(results).__name__}, not a list with one result for each item"
        )
    listed = list(islice(results, expected + 1))
    if len(listed) != expected:
        count = len(results) if isinstance(results, Sized) else "another number of"
        raise WrongResultCount(f"the processor returned {count} results for {expected} items")
    return listed


def set_results(batch: list[QueuedItem], results: list[Any]) -> int:
    """Give each caller its own result, unless it went away; returns how many of the results are errors."""
    for entry, result in zip(batch, results, strict=True):
        try:
            if entry.future.done():
                continue
            if isinstance(result, BaseException):
                entry.future.set_exception(raisable(result))
            else:
                entry.future.set_result(result)
        except BaseException:  # of a callback: the other callers must not suffer for it
            _log.exception("a callback of the result of %r failed", entry.item)
    return sum(isinstance(result, BaseException) for result in results)


def raisable(error: BaseException) -> BaseException:
    """The error as a future can hold it: StopIteration would end whoever waits for it."""
    if not isinstance(error, StopIteration):
        return error
    instead = RuntimeError(f"the processor raised {error!r}")
    instead.__cause__ = error
    return instead
