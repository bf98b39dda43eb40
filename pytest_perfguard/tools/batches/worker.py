"""The threads of one kind of batches."""

from __future__ import annotations

import math
import threading
import time
from collections.abc import Callable, Sequence
from concurrent.futures import Future
from typing import Any, Final

from pytest_perfguard.core.fork import register_at_fork
from pytest_perfguard.core.tool_errors import BatchTimeout
from pytest_perfguard.tools.batches.base import INSIDE, BatchWorker
from pytest_perfguard.tools.batches.state import (
    BatchLimits,
    BatchQueue,
    BatchStats,
    QueuedItem,
    checked_results,
    set_results,
)

#: Seconds after which a thread without work ends.
_IDLE: Final = 10.0
#: The system refuses to wait much longer than this at a time.
_LONGEST: Final = 3600.0


class Deadline:
    """Counts down from so many seconds; None: for ever."""

    def __init__(self, timeout: float | None) -> None:
        self.timeout = timeout
        self._end = math.inf if timeout is None else time.monotonic() + timeout

    def left(self) -> float | None:
        """Seconds, for a wait; None: for ever."""
        return None if self._end == math.inf else max(0.0, self._end - time.monotonic())


class ThreadItem(QueuedItem):
    """An item of a thread."""

    def begin(self) -> bool:
        """Is its caller still there? From now on it cannot be cancelled."""
        here: bool = self.future.set_running_or_notify_cancel()
        return here


class ThreadWorker(BatchWorker):
    """The queue of one kind, and its threads, which come with work and go without."""

    def __init__(
        self,
        kind: str,
        processor: Callable[[list[Any]], Sequence[Any]],
        limits: BatchLimits,
        clock: Callable[[], float],
    ) -> None:
        super().__init__(kind, processor, limits)
        self._clock = clock
        self.begin_anew()
        register_at_fork(self)

    def begin_anew(self) -> None:
        """Without items and threads: those of a process that was forked are the parent's."""
        self.queue = BatchQueue(self.queue.limits)
        self._changed = threading.Condition()
        self._threads: set[threading.Thread] = set()

    def submit(self, item: Any, timeout: float | None) -> Future[Any]:
        """Take an item as soon as there is room."""
        future: Future[Any] = Future()
        entry, gate = ThreadItem(item, future), threading.Lock()
        entry.admit = gate.release
        with self._changed:
            self.check_open()
            gate.acquire()
            there = self.queue.offer(entry, self._clock())
            if self.queue.queued in (1, self.queue.limits.full) or not self._threads:
                self._wake(entry)
        if not there:
            self._enter(entry, gate, timeout)
        return future

    def flush(self) -> None:
        """Process what waits now."""
        with self._changed:
            self.queue.flush()
            self._changed.notify_all()

    def stats(self) -> BatchStats:
        """The numbers of this moment."""
        with self._changed:
            return self.queue.stats()

    def close(self) -> None:
        """Take items from processors at work only, and wait for no full batch."""
        with self._changed:
            self.queue.closed = True
            self._changed.notify_all()

    def works_here(self) -> bool:
        """Is this one of its threads?"""
        return threading.current_thread() in self._threads

    def idle(self) -> bool:
        """Is there nothing to do?"""
        with self._changed:
            return self.queue.idle

    def wait_until_idle(self, deadline: Deadline) -> None:
        """Wait until all batches are done."""
        with self._changed:
            if not self._changed.wait_for(lambda: self.queue.idle, deadline.left()):
                raise BatchTimeout(self.kind, f"not all batches were done within {deadline.timeout or 0:g} s")

    def end(self, deadline: Deadline) -> None:
        """Take nothing any more, and wait for the threads."""
        with self._changed:
            self.closed = True
            self._changed.notify_all()
            threads = list(self._threads)
        for thread in threads:
            thread.join(deadline.left())

    def _enter(self, entry: QueuedItem, gate: threading.Lock, timeout: float | None) -> None:
        try:
            entered = gate.acquire(timeout=-1 if timeout is None else min(max(0.0, timeout), threading.TIMEOUT_MAX))
        except BaseException:  # Ctrl-C
            with self._changed:
                if not self.queue.withdraw(entry, "cancelled"):
                    entry.future.cancel()
            raise
        if not entered:
            with self._changed:
                if self.queue.withdraw(entry):
                    raise BatchTimeout(self.kind, self.full_text(timeout))

    def _wake(self, entry: QueuedItem | None = None) -> None:
        """See to it that a thread looks at the queue; where none can be had, `entry` is not taken."""
        self._changed.notify()
        if len(self._threads) < self.queue.limits.concurrency:
            thread = threading.Thread(target=self._work, name=f"perfguard-batch-{self.kind}", daemon=True)
            try:
                thread.start()
            except RuntimeError:
                if self._threads:
                    return  # it takes longer
                if entry is not None:
                    self.queue.take_back(entry)
                raise
            self._threads.add(thread)

    def _work(self) -> None:
        INSIDE.set(True)
        try:
            while self._work_once():
                pass
        finally:
            with self._changed:
                self._threads.discard(threading.current_thread())
                self._changed.notify_all()

    def _work_once(self) -> bool:
        """A batch, from its beginning to its end; False: this thread is not needed any more."""
        batch = self._next()
        if batch is not None:
            self._run(batch)
        return batch is not None

    def _next(self) -> list[QueuedItem] | None:
        """The next batch, waited for."""
        with self._changed:
            while not self._over():
                wait = self.queue.due(self._clock())
                if wait == 0:
                    batch = self.queue.take(self._clock())
                    if self.queue.queued:
                        self._wake()  # who came in now, or is left, may be due for another thread
                    if batch:
                        return batch
                    self._changed.notify_all()  # all were cancelled
                elif not self._changed.wait(_IDLE if wait is None else min(wait, _LONGEST)) and not self.queue.queued:
                    return None
            return None

    def _over(self) -> bool:
        return self.queue.closed and self.queue.idle

    def _run(self, batch: list[QueuedItem]) -> None:
        failed, errors = False, 0
        try:
            results = checked_results(self.processor([entry.item for entry in batch]), len(batch))
        except BaseException as error:
            failed = True
            set_results(batch, [self.batch_error(error)] * len(batch))
        else:
            errors = set_results(batch, results)
        finally:
            with self._changed:
                self.queue.done(failed=failed, item_errors=errors)
                self._changed.notify_all()
