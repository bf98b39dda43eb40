"""Threads of one kind of batches."""

from __future__ import annotations

import math
import threading
import time
from collections import deque
from collections.abc import Callable, Sequence
from concurrent.futures import Future
from typing import Any, Final

from pytest_perfguard.core.callables import must_be_awaited
from pytest_perfguard.core.fork import keep_unclosed, register_at_fork
from pytest_perfguard.core.tool_errors import BatchTimeout
from pytest_perfguard.tools.batches.base import INSIDE, BatchWorker
from pytest_perfguard.tools.batches.state import (
    Batch,
    BatchLimits,
    BatchQueue,
    BatchStats,
    Settable,
    WaitingItem,
    set_results,
)

#: Seconds after which a thread without work ends.
MAX_IDLE: Final = 10.0
#: Maximum seconds of one wait: the system limits it.
MAX_WAIT: Final = 3600.0


class Deadline:
    """A time limit of so many seconds from now; None: no limit."""

    def __init__(self, timeout: float | None) -> None:
        self.timeout = timeout
        self._end = math.inf if timeout is None else time.monotonic() + timeout

    def left(self) -> float | None:
        """Return the remaining seconds; None: no limit."""
        return None if self._end == math.inf else max(0.0, self._end - time.monotonic())


class ThreadWorker(BatchWorker):
    """The queue of one kind, and its threads, which start with work and end without.

    A finalizer or a signal handler may submit an item while its own thread changes the queue. Such an item is taken in
    after that step.
    """

    def __init__(
        self,
        kind: str,
        processor: Callable[[list[Any]], Sequence[object]],
        limits: BatchLimits,
        clock: Callable[[], float],
    ) -> None:
        # A future whose batch has begun cannot be cancelled any more.
        super().__init__(kind, processor, BatchQueue(limits, Future.set_running_or_notify_cancel))
        if must_be_awaited(processor):
            raise TypeError(f"{processor!r} is a coroutine function: use AsyncBatchProcessor")
        self._clock = clock
        self._renew()
        register_at_fork(self)

    def begin_anew(self) -> None:
        """Forget items and threads, in a forked child: they belong to the parent process."""
        keep_unclosed([self.queue])  # finalizers of its items may use objects that are not reset yet
        self.queue = self.queue.empty()
        self._renew()

    def _renew(self) -> None:
        self._lock = threading.RLock()
        self._changed = threading.Condition(self._lock)
        self._deferred: deque[tuple[object, Settable]] = deque()
        self._threads: set[threading.Thread] = set()
        self._unstarted: list[threading.Thread] = []
        self._sleepers: list[threading.Lock] = []
        """Gates of the threads that wait for a batch. They are there before a thread looks at the queue."""

    def in_step(self) -> bool:
        """Return whether this thread is changing the queue: a finalizer or a signal handler has interrupted it.

        The lock itself records its owner. A separate flag would be set after the lock is taken, and a finalizer that runs
        between the two would not see it.
        """
        return bool(self._lock._is_owned())  # type: ignore[attr-defined]  # as `threading.Condition` uses it

    def submit(self, item: object, timeout: float | None) -> Future[Any]:
        """Take an item as soon as there is room."""
        future: Future[Any] = Future()
        gate = threading.Lock()
        gate.acquire()
        if self.in_step():
            self.check_open()
            self._deferred.append((item, future))
            return future
        with self._changed:
            self.check_open()
            # A thread of this worker would wait for itself.
            accepted = self._offer(item, future, force=self.works_here())
            waiting = None if accepted else self.queue.wait(item, future, gate.release)
        self._start_threads(future)
        self._take_deferred()
        if waiting is not None:
            self._wait_for_room(waiting, gate, timeout)
        return future

    def flush(self) -> None:
        """Process the queued items now."""
        with self._changed:
            self.queue.flush()
            self._wake_all()
        self._take_deferred()

    def stats(self) -> BatchStats:
        """Return the statistics of this moment."""
        with self._changed:
            stats = self.queue.stats()
        self._take_deferred()
        return stats

    def close(self) -> None:
        """Accept items of running processors only, and wait for no full batch."""
        with self._changed:
            self.queue.closed = True
            self._wake_all()
        self._take_deferred()

    def works_here(self) -> bool:
        """Return whether the calling thread is one of the worker's."""
        return threading.current_thread() in self._threads

    def idle(self) -> bool:
        """Return whether no item waits and no batch runs."""
        self._take_deferred()
        with self._changed:
            return self.queue.idle

    def wait_until_idle(self, deadline: Deadline) -> None:
        """Wait until all batches are done."""
        with self._changed:
            if not self._changed.wait_for(lambda: self.queue.idle, deadline.left()):
                raise BatchTimeout(self.kind, f"not all batches were done within {deadline.timeout or 0:g} s")

    def end(self, deadline: Deadline) -> None:
        """Accept nothing more, and wait for the threads."""
        with self._changed:
            self.closed = True
            self._wake_all()
            threads = list(self._threads)
        for thread in threads:
            if thread.is_alive():
                thread.join(deadline.left())

    def _offer(self, item: object, future: Settable, *, force: bool = False) -> bool:
        accepted = self.queue.offer(item, future, self._clock(), force=force)
        if self.queue.queued in (1, self.queue.limits.full) or not self._threads:
            self._wake()
        return accepted

    def _take_deferred(self) -> None:
        """Take in the items that finalizers submitted during a step of this thread."""
        while self._deferred and not self.in_step():
            with self._changed:
                try:
                    item, future = self._deferred.popleft()
                except IndexError:  # another thread was faster
                    return
                self._offer(item, future, force=True)
            self._start_threads()

    def _wait_for_room(self, waiting: WaitingItem, gate: threading.Lock, timeout: float | None) -> None:
        try:
            admitted = gate.acquire(timeout=-1 if timeout is None else min(max(0.0, timeout), threading.TIMEOUT_MAX))
        except BaseException:  # Ctrl-C
            with self._changed:
                if not self.queue.withdraw(waiting, "cancelled"):
                    waiting.future.cancel()
            raise
        if not admitted:
            with self._changed:
                if self.queue.withdraw(waiting):
                    raise BatchTimeout(self.kind, self.full_text(timeout))

    def _wake(self) -> None:
        """Let a thread look at the queue. `_start_threads` must follow after the step."""
        self._open_gate()
        if len(self._threads) < self.queue.limits.concurrency:
            thread = threading.Thread(target=self._work, name=f"perfguard-batch-{self.kind}", daemon=True)
            self._threads.add(thread)
            self._unstarted.append(thread)

    def _start_threads(self, future: Settable | None = None) -> None:
        """Start the threads that a step has requested; where none can be started, the item of `future` is not taken.

        Not under the lock: a new thread may run a finalizer that submits before `start` returns.
        """
        while self._unstarted:
            thread = self._unstarted.pop()
            try:
                thread.start()
            except RuntimeError:
                with self._changed:
                    self._threads.discard(thread)
                    if self._threads:
                        return  # it takes longer
                    if future is not None:
                        self.queue.take_back(future)
                raise

    def _open_gate(self) -> bool:
        """Wake the thread that has waited for longest; False: no thread waits."""
        try:
            gate = self._sleepers.pop(0)
        except IndexError:
            return False
        gate.release()
        return True

    def _wake_all(self) -> None:
        while self._open_gate():
            pass
        self._changed.notify_all()

    def _work(self) -> None:
        INSIDE.set(True)
        try:
            while self._work_once():
                pass
        finally:
            self._leave()

    def _leave(self) -> None:
        with self._changed:
            self._threads.discard(threading.current_thread())
            self._wake_all()
        self._take_deferred()

    def _work_once(self) -> bool:
        """Process one batch; return False where the thread is not needed any more."""
        batch = self._next()
        self._start_threads()
        self._take_deferred()
        if batch is not None:
            self._run(batch)
        return batch is not None

    def _next(self) -> Batch | None:
        """Return the next batch once it is due; None: the thread is not needed any more."""
        while True:
            gate = threading.Lock()
            gate.acquire()
            self._take_deferred()
            with self._changed:
                if self._over():
                    return None
                # Before the look at the queue: a finalizer may submit between the look and the wait.
                self._sleepers.append(gate)
                wait = self.queue.due(self._clock())
                if wait == 0:
                    self._forget(gate)
                    if batch := self._take():
                        return batch
                    self._wake_all()  # all items were cancelled
                    continue
            woken = gate.acquire(timeout=MAX_IDLE if wait is None else min(wait, MAX_WAIT))
            with self._changed:
                self._forget(gate)
                if not woken and not self.queue.queued:
                    self._leave()  # in the same step: an item that comes now starts another thread
                    return None

    def _forget(self, gate: threading.Lock) -> None:
        if gate in self._sleepers:
            self._sleepers.remove(gate)

    def _take(self) -> Batch | None:
        batch = self.queue.take(self._clock())
        if self.queue.queued:
            self._wake()  # the other items may be due for another thread
        return batch

    def _over(self) -> bool:
        return self.queue.closed and self.queue.idle

    def _run(self, batch: Batch) -> None:
        failed, errors = False, 0
        try:
            items, places = self.items_of(batch)
            results = self.results_of(self.processor(items), batch, places)
        except BaseException as error:
            failed = True
            set_results(batch, [self.batch_error(error)] * len(batch.items))
        else:
            errors = set_results(batch, results)
        finally:
            with self._changed:
                self.queue.done(failed=failed, item_errors=errors)
                self._wake_all()
