"""`BatchProcessor`: items of many threads, processed many at a time."""

from __future__ import annotations

import atexit
import logging
import time
import weakref
from collections.abc import Callable, Iterable, Mapping, Sequence
from concurrent.futures import Future
from concurrent.futures import TimeoutError as FutureTimeout
from types import TracebackType
from typing import Any, Final

from pytest_perfguard.core.tool_errors import BatchTimeout
from pytest_perfguard.tools.batches.base import BatchBase
from pytest_perfguard.tools.batches.state import (
    MAX_DELAY,
    MAX_SIZE,
)
from pytest_perfguard.tools.batches.worker import Deadline, ThreadWorker

_log = logging.getLogger("perfguard.batch")

Processor = Callable[[list[Any]], Sequence[object]]


class BatchProcessor(BatchBase[ThreadWorker]):
    """Collects items of one kind into batches, processes them, and returns to each caller its own result. For threads.

    A batch is due when it is full, or when its oldest item has waited for `max_delay`. The processor of a kind takes a list
    of items and returns as many results in the same order. A result that is an exception is raised at its caller; an
    exception that the processor raises, at all callers of the batch. Use it as a context manager, or call `close()`: both
    process the queued items. A forked child starts without the items and threads of its parent.

    Parameters
    ----------
    processors
        functions by kind. `register` adds more.
    max_size, max_delay
        maximum number of items of a batch, and maximum seconds that an item waits for it.
    max_queue
        items of a kind that may wait; further callers wait for room. By default 10 batches.
    concurrency
        batches of a kind that run at the same time.
    merge
        process equal items of a batch once: their callers share the result. Items are equal where they compare equal and
        have the same type.
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
        merge: bool = False,
        clock: Callable[[], float] = time.monotonic,
    ) -> None:
        super().__init__(
            lambda kind, processor, own: ThreadWorker(kind, processor, own, clock),
            processors, max_size, max_delay, max_queue, concurrency, merge,
        )  # fmt: skip
        _open.add(self)
        weakref.finalize(self, _close, self._workers).atexit = False

    def submit(self, kind: str, item: object, timeout: float | None = None) -> Future[Any]:
        """Return the future result of an item. Wait for room in the queue, at most `timeout` seconds.

        Raises
        ------
        BatchError
            no processor is registered for that kind.
        BatchTimeout, BatchClosed
        """
        return self._worker(kind).submit(item, timeout)

    def process(self, kind: str, item: object, timeout: float | None = None) -> Any:
        """Return the result of an item; wait for it at most `timeout` seconds.

        Raises
        ------
        BatchTimeout
            the item is withdrawn, unless its batch has begun.
        BatchSizeError
            the number of results differs from the number of items.
        BatchError, BatchClosed, and the errors of the processor
        """
        deadline = Deadline(timeout)
        return self._result(kind, self.submit(kind, item, timeout), deadline)

    def process_many(
        self, kind: str, items: Iterable[object], timeout: float | None = None, *, return_exceptions: bool = False
    ) -> list[Any]:
        """Return the results of several items in their order; wait for them at most `timeout` seconds.

        With `return_exceptions`, errors are results; without, the first error is raised and the other items are withdrawn.

        Raises
        ------
        BatchTimeout, BatchSizeError, BatchError, BatchClosed, and the errors of the processor
        """
        deadline = Deadline(timeout)
        futures: list[Future[Any]] = []
        results: list[object] = []
        try:
            for item in items:
                futures.append(self.submit(kind, item, deadline.left()))
            for future in futures:
                try:
                    results.append(self._result(kind, future, deadline))
                except Exception as error:
                    if not return_exceptions:
                        raise
                    results.append(error)
        except BaseException:
            for future in futures:
                future.cancel()
            raise
        return results

    def close(self, timeout: float | None = None) -> None:
        """Process the queued items, accept no more, and end the threads; wait for that at most `timeout` seconds.

        Items that processors submit meanwhile are processed, too. A call by a processor does not wait.

        Raises
        ------
        BatchTimeout
        """
        self._closed = True
        deadline = Deadline(timeout)
        workers = list(self._workers.values())
        for worker in workers:
            worker.close()
        if any(worker.works_here() for worker in workers):
            return
        while not all(worker.idle() for worker in workers):  # a batch of one kind may submit to another kind
            for worker in workers:
                worker.wait_until_idle(deadline)
        for worker in workers:
            worker.end(deadline)

    def __enter__(self) -> BatchProcessor:
        return self

    def __exit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None:
        self.close()

    def _result(self, kind: str, future: Future[Any], deadline: Deadline) -> Any:
        if self._worker(kind).in_step():
            future.cancel()
            raise BatchTimeout(
                kind,
                "process was called by a finalizer or a signal handler while its thread changed the queue: use submit",
            )
        try:
            return future.result(deadline.left())
        except FutureTimeout:
            if not future.cancel():  # the result is there, or the batch has begun
                if future.done():
                    return future.result()
                _log.debug("batch %s: no caller waits any more for an item that is being processed", kind)
            raise BatchTimeout(kind, f"no result within {deadline.timeout:g} s") from None
        except BaseException:
            future.cancel()  # Ctrl-C while it waited
            raise


#: Processors whose queued items are processed at the end of the program.
_open: Final[weakref.WeakSet[BatchProcessor]] = weakref.WeakSet()


def _close(workers: dict[str, ThreadWorker]) -> None:
    """Let the threads of a processor that no code refers to process the queued items, and end."""
    for worker in list(workers.values()):
        worker.close()


@atexit.register
def _close_all() -> None:
    for processor in list(_open):
        processor.close()
