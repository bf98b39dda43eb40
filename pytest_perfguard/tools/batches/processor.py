"""`BatchProcessor`: what many threads ask for one by one, done many at a time."""

from __future__ import annotations

import atexit
import logging
import time
import weakref
from collections.abc import Callable, Mapping, Sequence
from concurrent.futures import Future
from concurrent.futures import TimeoutError as FutureTimeout
from types import TracebackType
from typing import Any, Final

from pytest_perfguard.core.tool_errors import BatchTimeout
from pytest_perfguard.tools.batches.base import BatchBase
from pytest_perfguard.tools.batches.state import MAX_DELAY, MAX_SIZE
from pytest_perfguard.tools.batches.worker import Deadline, ThreadWorker

_log = logging.getLogger("perfguard.batch")

Processor = Callable[[list[Any]], Sequence[Any]]


class BatchProcessor(BatchBase):
    """Gathers items of one kind into batches, has them processed, and gives each caller its own result. For threads.

    A batch is due when it is full, or when its oldest item has waited for `max_delay`. The processor of a kind gets a list of
    items and returns as many results, in their order. A result that is an exception is raised at that one caller; what the
    processor itself raises, at all of them. Use it as a context manager, or `close()` it: then what waits is processed.

    Parameters
    ----------
    processors
        functions by kind. More can be added by `register`.
    max_size, max_delay
        items, and seconds.
    max_queue
        items of a kind that may wait; whoever comes then waits for room. 10 batches by default.
    concurrency
        batches of a kind at the same time.
    clock
        seconds, for tests.
    """

    def __init__(
        self,
        processors: Mapping[str, Processor],
        *,
        max_size: int = MAX_SIZE,
        max_delay: float = MAX_DELAY,
        max_queue: int | None = None,
        concurrency: int = 1,
        clock: Callable[[], float] = time.monotonic,
    ) -> None:
        super().__init__(
            lambda kind, processor, own: ThreadWorker(kind, processor, own, clock),
            processors, max_size, max_delay, max_queue, concurrency,
        )  # fmt: skip
        _open.add(self)
        weakref.finalize(self, _close, self._workers).atexit = False

    def submit(self, kind: str, item: Any, timeout: float | None = None) -> Future[Any]:
        """The future result of an item. Waits for room in the queue, at most `timeout` seconds.

        Raises
        ------
        BatchError
            no processor is registered for that kind.
        BatchTimeout, BatchClosed
        """
        lane: ThreadWorker = self._worker(kind)
        return lane.submit(item, timeout)

    def process(self, kind: str, item: Any, timeout: float | None = None) -> Any:
        """The result of an item; waits for it at most `timeout` seconds.

        Raises
        ------
        BatchTimeout
            the item is then taken back, if its batch has not begun.
        BatchSizeError
            the processor returned another number of results than it was given items.
        BatchError, BatchClosed, and what the processor raises
        """
        begun = time.monotonic()
        future = self.submit(kind, item, timeout)
        left = None if timeout is None else max(0.0, timeout - (time.monotonic() - begun))
        try:
            return future.result(left)
        except FutureTimeout:
            if not future.cancel():  # it has come meanwhile, or is being processed
                if future.done():
                    return future.result()
                _log.debug("batch %s: nobody waits any more for an item that is being processed", kind)
            raise BatchTimeout(kind, f"no result within {timeout:g} s") from None
        except BaseException:
            future.cancel()  # Ctrl-C while it waited
            raise

    def close(self, timeout: float | None = None) -> None:
        """Process what waits, take nothing more, and end the threads; waits for that at most `timeout` seconds.

        What processors submit in their turn meanwhile is processed, too. Called by a processor it does not wait.

        Raises
        ------
        BatchTimeout
        """
        self._closed = True
        deadline = Deadline(timeout)
        lanes = list(self._workers.values())
        for lane in lanes:
            lane.close()
        if any(lane.works_here() for lane in lanes):
            return
        while not all(lane.idle() for lane in lanes):  # one lane's batch may submit to another one
            for lane in lanes:
                lane.wait_until_idle(deadline)
        for lane in lanes:
            lane.end(deadline)

    def __enter__(self) -> BatchProcessor:
        return self

    def __exit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None:
        self.close()


#: At the end of the program what waits is processed, too.
_open: Final[weakref.WeakSet[BatchProcessor]] = weakref.WeakSet()


def _close(lanes: dict[str, ThreadWorker]) -> None:
    """Nobody has the processor any more: its threads do what waits, and end."""
    for lane in list(lanes.values()):
        lane.close()


@atexit.register
def _close_all() -> None:
    for processor in list(_open):
        processor.close()
