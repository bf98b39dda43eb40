"""Queue of the items of one kind, and the results of a batch. Pure: no threads, no loop, no clock."""

from __future__ import annotations

import logging
import math
from collections import deque
from collections.abc import Callable, Hashable, Iterable, Mapping, Set, Sized
from dataclasses import asdict, dataclass
from itertools import islice
from typing import Any, Final, Literal, Protocol

from pytest_perfguard.core.value_kinds import kind_of

_log = logging.getLogger("perfguard.batch")

MAX_SIZE: Final = 50
MAX_DELAY: Final = 0.1
#: Default of `max_queue`, in batches.
MAX_BATCHES_WAITING: Final = 10


@dataclass(frozen=True)
class BatchLimits:
    """When a batch is due, and how many items wait and run."""

    max_size: int = MAX_SIZE
    max_delay: float = MAX_DELAY
    max_queue: int = MAX_BATCHES_WAITING * MAX_SIZE
    concurrency: int = 1
    merge: bool = False
    """Whether equal items of a batch are processed once."""

    def __post_init__(self) -> None:
        for name in ("max_size", "max_queue", "concurrency"):
            if not getattr(self, name) >= 1:
                raise ValueError(f"{name} is {getattr(self, name)!r}: it must be at least 1")
        if not self.max_delay >= 0:
            raise ValueError(f"max_delay is {self.max_delay!r}: it must be at least 0 seconds")

    @property
    def full(self) -> int:
        """Return the number of items at which a batch is due."""
        return min(self.max_size, self.max_queue)


@dataclass(frozen=True)
class BatchStats:
    """Statistics of one kind, or of all."""

    items: int = 0
    """Items that were taken into batches."""
    batches: int = 0
    failures: int = 0
    """Batches whose processor raised an error."""
    item_errors: int = 0
    """Items whose result was an error."""
    cancelled: int = 0
    """Items that were cancelled before their batch began."""
    refused: int = 0
    """Items that found no room in the queue within their time limit."""
    queued: int = 0
    waiting: int = 0
    """Callers that wait for room in the queue."""
    running: int = 0
    """Batches in progress."""
    largest: int = 0
    """Number of items of the largest batch."""

    @property
    def mean_size(self) -> float:
        """Return the number of items per batch; NaN before the first batch."""
        return self.items / self.batches if self.batches else math.nan

    def __add__(self, other: BatchStats) -> BatchStats:
        ours, theirs = asdict(self), asdict(other)
        total = {name: ours[name] + theirs[name] for name in ours}
        return BatchStats(**{**total, "largest": max(self.largest, other.largest)})


class Settable(Protocol):
    """The methods of a future that a batch uses."""

    def done(self) -> bool: ...
    def cancelled(self) -> bool: ...
    def cancel(self) -> object: ...
    def set_result(self, result: Any, /) -> None: ...
    def set_exception(self, error: BaseException, /) -> None: ...


def still_wanted(future: Settable) -> bool:
    """Return whether the caller of an item still waits."""
    return not future.cancelled()


#: (item, future, time since which it waits). An object of a class would take longer to make than all of `offer`.
QueuedItem = tuple[object, Settable, float]


@dataclass(frozen=True, eq=False)
class WaitingItem:
    """An item that waits for room; `admit` is called when there is."""

    item: object
    future: Settable
    admit: Callable[[], object]


@dataclass(frozen=True)
class Batch:
    """Items, and the futures of their callers in the same order."""

    items: list[object]
    futures: list[Settable]


class BatchQueue:
    """Items of one kind that wait for their batch, and behind them those that wait for room, in the order of arrival.

    The futures are those of threads or of asyncio. `begin` tells, once for each item when its batch begins, whether its
    caller still waits.
    """

    def __init__(self, limits: BatchLimits, begin: Callable[[Any], bool] = still_wanted) -> None:
        self.limits = limits
        self.closed = False
        self.running = 0
        self._begin = begin
        self._queue: deque[QueuedItem] = deque()
        self._waiting: deque[WaitingItem] = deque()
        self._flush_count = 0
        self._counts = dict.fromkeys(
            ("items", "batches", "failures", "item_errors", "cancelled", "refused", "largest"), 0
        )

    def empty(self) -> BatchQueue:
        """Return a queue without items: that of a forked child, or of the next event loop."""
        queue = BatchQueue(self.limits, self._begin)
        queue.closed = self.closed
        return queue

    def offer(self, item: object, future: Settable, now: float, *, force: bool = False) -> bool:
        """Take an item; False: there is no room, and `wait` may follow. `force`: take it in any case."""
        if force or (len(self._queue) < self.limits.max_queue and not self._waiting):
            self._queue.append((item, future, now))
            return True
        return False

    def wait(self, item: object, future: Settable, admit: Callable[[], object]) -> WaitingItem:
        """Let an item wait for room, in the order of arrival."""
        waiting = WaitingItem(item, future, admit)
        self._waiting.append(waiting)
        return waiting

    def withdraw(self, item: WaitingItem, why: Literal["refused", "cancelled"] = "refused") -> bool:
        """Remove an item that waits for room; False: it has been admitted."""
        try:
            self._waiting.remove(item)
        except ValueError:
            return False
        self._counts[why] += 1
        return True

    def take_back(self, future: Settable) -> None:
        """Remove the item of a future, since no thread can process it."""
        self._queue = deque(queued for queued in self._queue if queued[1] is not future)
        self._waiting = deque(waiting for waiting in self._waiting if waiting.future is not future)

    def due(self, now: float) -> float | None:
        """Return the seconds until a batch is due, 0 for now; None: no item waits, or `concurrency` batches run."""
        if not self._queue or self.running >= self.limits.concurrency:
            return None
        if len(self._queue) >= self.limits.full or self._flush_count or self.closed:
            return 0.0
        _, _, since = self._queue[0]
        return max(0.0, since + self.limits.max_delay - now)

    def take(self, now: float) -> Batch | None:
        """Return the next batch, without cancelled items; None: all were cancelled. `done` must follow a batch."""
        items: list[object] = []
        futures: list[Settable] = []
        queue, begin, max_size, before = self._queue, self._begin, self.limits.max_size, len(self._queue)
        while queue and len(items) < max_size:
            item, future, _ = queue.popleft()
            if begin(future):
                items.append(item)
                futures.append(future)
            else:
                self._counts["cancelled"] += 1
        self._flush_count = max(0, self._flush_count - before + len(queue))
        self._admit_waiting(now)
        if not items:
            return None
        self.running += 1
        self._counts["batches"] += 1
        self._counts["items"] += len(items)
        self._counts["largest"] = max(self._counts["largest"], len(items))
        return Batch(items, futures)

    def done(self, *, failed: bool = False, item_errors: int = 0) -> None:
        """Record the end of a batch."""
        self.running -= 1
        self._counts["failures"] += failed
        self._counts["item_errors"] += item_errors

    def flush(self) -> None:
        """Make all queued items due now."""
        self._flush_count = len(self._queue)

    @property
    def queued(self) -> int:
        """Return the number of items that wait for their batch."""
        return len(self._queue)

    @property
    def idle(self) -> bool:
        """Return whether no item waits and no batch runs."""
        return not self._queue and not self._waiting and not self.running

    def stats(self) -> BatchStats:
        """Return the statistics of this moment."""
        return BatchStats(**self._counts, queued=len(self._queue), waiting=len(self._waiting), running=self.running)

    def _admit_waiting(self, now: float) -> None:
        while self._waiting and len(self._queue) < self.limits.max_queue:
            waiting = self._waiting.popleft()
            self._queue.append((waiting.item, waiting.future, now))
            waiting.admit()


class WrongResultCount(ValueError):
    """A processor did not return one result for each item."""


def merge_equal(items: list[object]) -> tuple[list[object], list[int]]:
    """Return the distinct items, and for each item its place among them.

    Items are equal where they compare equal and have the same types, also inside of tuples: 1, 1.0 and True are three. Unhashable
    items are distinct.
    """
    distinct: list[object] = []
    places: dict[tuple[object, Hashable], int] = {}
    found = []
    for item in items:
        try:
            place = places.setdefault((kind_of(item), item), len(distinct))
        except TypeError:
            place = len(distinct)
        if place == len(distinct):
            distinct.append(item)
        found.append(place)
    return distinct, found


def checked_results(results: object, expected: int) -> list[object]:
    """Return the results of a processor as a list of the expected length.

    Raises
    ------
    WrongResultCount
    """
    # A list first: the checks of the abstract classes take longer than the rest.
    if not isinstance(results, list) and (
        isinstance(results, str | bytes | Mapping | Set) or not isinstance(results, Iterable)
    ):
        raise WrongResultCount(
            f"the processor returned a {type(results).__name__}, not a list with one result for each item"
        )
    listed = list(islice(results, expected + 1))
    if len(listed) != expected:
        count = len(results) if isinstance(results, Sized) else "another number of"
        raise WrongResultCount(f"the processor returned {count} results for {expected} items")
    return listed


def set_results(batch: Batch, results: list[object]) -> int:
    """Set each caller's result, unless the caller has left; return the number of results that are errors."""
    errors = 0
    for item, future, result in zip(batch.items, batch.futures, results, strict=True):
        try:
            if isinstance(result, BaseException):
                errors += 1
                if not future.done():
                    future.set_exception(raisable(result))
            elif not future.done():
                future.set_result(result)
        except BaseException:  # of a callback: it must not affect the other callers
            _log.exception("a callback of the result of %r failed", item)
    return errors


def raisable(error: BaseException) -> BaseException:
    """Return the error in a form that a future accepts: StopIteration would end the waiting coroutine."""
    if not isinstance(error, StopIteration):
        return error
    instead = RuntimeError(f"the processor raised {error!r}")
    instead.__cause__ = error
    return instead
