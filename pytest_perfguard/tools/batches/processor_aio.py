"""`AsyncBatchProcessor`: items of many tasks, processed many at a time."""

from __future__ import annotations

import contextlib
import inspect
import time
from collections.abc import Awaitable, Callable, Iterable, Mapping, Sequence
from contextvars import Context
from types import TracebackType
from typing import TYPE_CHECKING, Any, Final

from pytest_perfguard.core.fork import keep_unclosed, register_at_fork
from pytest_perfguard.core.tool_errors import BatchError, BatchTimeout
from pytest_perfguard.tools.batches.base import INSIDE, BatchBase, BatchWorker
from pytest_perfguard.tools.batches.result_group import ResultGroup
from pytest_perfguard.tools.batches.state import (
    MAX_DELAY,
    MAX_SIZE,
    Batch,
    BatchLimits,
    BatchQueue,
    Settable,
    set_results,
)

if TYPE_CHECKING:
    import asyncio

#: Maximum seconds of one timer.
MAX_TIMER: Final = 3600.0

AsyncProcessor = Callable[[list[Any]], Sequence[object] | Awaitable[Sequence[object]]]


class AsyncBatchProcessor(BatchBase["TaskWorker"]):
    """`BatchProcessor` for the tasks of one event loop. Processors may be coroutine functions.

    The parameters are those of `BatchProcessor`. A cancelled caller withdraws its item if its batch has not begun, and does
    not affect the others. A batch runs in an empty context of its own: it sees the context variables of no caller. Items
    of a loop that has been closed are dropped.
    """

    def __init__(
        self,
        processors: Mapping[str, AsyncProcessor],
        *,
        max_size: int = MAX_SIZE,
        max_delay: float = MAX_DELAY,
        max_queue: int | None = None,
        concurrency: int = 1,
        merge: bool = False,
    ) -> None:
        super().__init__(TaskWorker, processors, max_size, max_delay, max_queue, concurrency, merge)

    async def submit(self, kind: str, item: object, timeout: float | None = None) -> asyncio.Future[Any]:
        """Return the future result of an item. Wait for room in the queue, at most `timeout` seconds.

        Raises
        ------
        BatchError
            no processor is registered for that kind, or the processor belongs to another event loop.
        BatchTimeout, BatchClosed
        """
        worker = self._worker(kind)
        future = worker.new_future()
        if not worker.offer(item, future):
            await worker.wait_for_room(item, future, timeout)
        return future

    async def process(self, kind: str, item: object, timeout: float | None = None) -> Any:
        """Return the result of an item; wait for it at most `timeout` seconds.

        Raises
        ------
        BatchTimeout
            the item is withdrawn, unless its batch has begun.
        BatchSizeError
            the number of results differs from the number of items.
        BatchError, BatchClosed, and the errors of the processor
        """
        worker = self._workers.get(kind) or self._worker(kind)
        if timeout is None:
            # `new_future`, in place: a call would take a hundredth of the time of an item.
            future = worker.future_type()
            if future.get_loop() is not worker.loop:
                worker.enter_loop()
            if not worker.offer(item, future):
                await worker.wait_for_room(item, future, None)
            return await future
        return await self._process_in_time(worker, item, timeout)

    async def process_many(
        self, kind: str, items: Iterable[object], timeout: float | None = None, *, return_exceptions: bool = False
    ) -> list[Any]:
        """Return the results of several items in their order; wait for them at most `timeout` seconds.

        With `return_exceptions`, errors are results; without, the first error is raised and the other items are withdrawn.

        Raises
        ------
        BatchTimeout, BatchSizeError, BatchError, BatchClosed, and the errors of the processor
        """
        end = None if timeout is None else time.monotonic() + timeout
        worker = self._worker(kind)
        group = ResultGroup(worker.new_future(), return_exceptions=return_exceptions)
        try:
            for item in items:
                place = group.place()
                if not worker.offer(item, place):
                    await worker.wait_for_room(item, place, _left(end))
                if group.over:  # an item has failed
                    break
            return await group.gathered(kind, _left(end), timeout)
        finally:
            group.over = True

    async def close(self) -> None:
        """Process the queued items, and accept no more. A call by a processor does not wait."""
        self._closed = True
        workers = list(self._workers.values())
        for worker in workers:
            worker.close()
        if INSIDE.get():
            return
        while not all(worker.queue.idle for worker in workers):  # a batch of one kind may submit to another kind
            for worker in workers:
                await worker.wait_until_idle()
        for worker in workers:
            worker.end()

    async def __aenter__(self) -> AsyncBatchProcessor:
        return self

    async def __aexit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None:
        await self.close()

    @staticmethod
    async def _process_in_time(worker: TaskWorker, item: object, timeout: float) -> Any:
        import asyncio

        loop = asyncio.get_running_loop()
        begun = loop.time()
        future = worker.new_future()
        if not worker.offer(item, future):
            await worker.wait_for_room(item, future, timeout)
        try:
            done, _ = await asyncio.wait([future], timeout=max(0.0, timeout - (loop.time() - begun)))
        except asyncio.CancelledError:
            future.cancel()
            raise
        if not done:
            future.cancel()
            raise BatchTimeout(worker.kind, f"no result within {timeout:g} s")
        return future.result()


class TaskWorker(BatchWorker):
    """The queue of one kind, a timer for its oldest item, and a task for each batch in progress."""

    def __init__(self, kind: str, processor: AsyncProcessor, limits: BatchLimits) -> None:
        from asyncio import Future, get_running_loop

        super().__init__(kind, processor, BatchQueue(limits))
        self._running_loop = get_running_loop
        self.future_type: type[Future[Any]] = Future
        self._renew()
        register_at_fork(self)

    def new_future(self) -> asyncio.Future[Any]:
        """Return a future of the running event loop, which is the processor's from now on."""
        future = self.future_type()  # to ask for the running loop first would take longer
        if future.get_loop() is not self.loop:
            self.enter_loop()
        return future

    def offer(self, item: object, future: Settable) -> bool:
        """Take an item for a future that belongs to `new_future`; False: there is no room."""
        queue = self.queue
        if queue.closed:
            self.check_open()
        if not queue.offer(item, future, self._time()):
            return False
        if queue.running < self._concurrency:  # else the end of a running batch begins the next
            if queue.queued >= self._full:
                self._pump()
            elif self._timer is None:
                self._set_timer(queue.due(self._time()))
        return True

    async def wait_for_room(self, item: object, future: Settable, timeout: float | None) -> None:
        """Wait until an item is admitted to the queue, in the order of arrival.

        Raises
        ------
        BatchTimeout
        """
        import asyncio

        room: asyncio.Future[None] = self.new_future()
        waiting = self.queue.wait(item, future, lambda: None if room.done() else room.set_result(None))
        try:
            await asyncio.wait([room], timeout=timeout)
        except asyncio.CancelledError:
            if not self.queue.withdraw(waiting, "cancelled"):
                future.cancel()
            raise
        if not room.done() and self.queue.withdraw(waiting):
            raise BatchTimeout(self.kind, self.full_text(timeout))

    def flush(self) -> None:
        """Process the queued items now. Safe to call from any thread."""
        self.queue.flush()
        if self.loop is not None and not self.loop.is_closed():
            self.loop.call_soon_threadsafe(self._pump)

    def close(self) -> None:
        """Accept items of running processors only, and wait for no full batch."""
        self.queue.closed = True
        if self.loop is not None:
            self.enter_loop()
            self._pump()

    async def wait_until_idle(self) -> None:
        """Wait until all batches are done."""
        while not self.queue.idle:
            done = self.new_future()
            self._idle.append(done)
            await done

    def end(self) -> None:
        """Accept nothing more."""
        self.closed = True
        if self._timer is not None:
            self._timer.cancel()

    def begin_anew(self) -> None:
        """Forget items and tasks, in a forked child: they belong to the parent process."""
        keep_unclosed([self.queue])
        self._renew()

    def _renew(self) -> None:
        self.queue = self.queue.empty()
        self._full, self._concurrency = self.queue.limits.full, self.queue.limits.concurrency
        self.loop: asyncio.AbstractEventLoop | None = None
        self._time: Callable[[], float] = time.monotonic
        self._timer: asyncio.TimerHandle | None = None
        self._tasks: set[asyncio.Task[None]] = set()
        self._idle: list[asyncio.Future[None]] = []

    def enter_loop(self) -> asyncio.AbstractEventLoop:
        """Return the running event loop, which is the processor's from now on.

        Raises
        ------
        BatchError
            the processor belongs to another event loop.
        """
        loop = self._running_loop()
        if self.loop is not loop:
            if self.loop is not None:
                if not self.loop.is_closed():
                    raise BatchError(self.kind, "the processor belongs to another event loop: make one for each")
                self._renew()  # no caller waits for the items of a closed loop
            self.loop, self._time = loop, loop.time
        return loop

    def _pump(self) -> None:
        """Begin the batches that are due, and set a timer for the others."""
        loop = self.enter_loop()
        now = self._time()
        while (wait := self.queue.due(now)) is not None:
            if wait > 0:
                if self._timer is None:  # an earlier timer looks again
                    self._set_timer(wait)
                break
            batch = self.queue.take(now)
            if batch:
                # In an empty context: which caller fills a batch or starts its timer is a matter of chance.
                task = Context().run(loop.create_task, self._run(batch))
                self._tasks.add(task)
                task.add_done_callback(self._tasks.discard)
        if self._idle and self.queue.idle:
            for done in self._idle:
                if not done.done():
                    done.set_result(None)
            self._idle.clear()

    def _set_timer(self, wait: float | None) -> None:
        """Look again after some seconds; 0: when the callers that can run now have offered their items."""
        if wait is not None:
            self._timer = self.enter_loop().call_later(min(wait, MAX_TIMER), self._on_time)

    def _on_time(self) -> None:
        self._timer = None
        self._pump()

    async def _run(self, batch: Batch) -> None:
        INSIDE.set(True)
        failed, errors = False, 0
        try:
            items, places = self.items_of(batch)
            returned = self.processor(items)
            if inspect.isawaitable(returned):
                returned = await returned
            results = self.results_of(returned, batch, places)
        except BaseException as error:
            failed = True
            set_results(batch, [self.batch_error(error)] * len(batch.items))
            from asyncio import CancelledError

            if isinstance(error, CancelledError | KeyboardInterrupt | SystemExit | GeneratorExit):
                raise
        else:
            errors = set_results(batch, results)
        finally:
            self.queue.done(failed=failed, item_errors=errors)
            with contextlib.suppress(RuntimeError):  # the loop may be ending
                self._pump()


def _left(end: float | None) -> float | None:
    return None if end is None else max(0.0, end - time.monotonic())
