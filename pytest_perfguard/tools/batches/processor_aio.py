"""`AsyncBatchProcessor`: what many tasks ask for one by one, done many at a time."""

from __future__ import annotations

import contextlib
import inspect
from collections.abc import Awaitable, Callable, Mapping, Sequence
from types import TracebackType
from typing import TYPE_CHECKING, Any, Final

from pytest_perfguard.core.tool_errors import BatchError, BatchTimeout
from pytest_perfguard.tools.batches.base import INSIDE, BatchBase, BatchWorker
from pytest_perfguard.tools.batches.state import (
    MAX_DELAY,
    MAX_SIZE,
    BatchLimits,
    BatchQueue,
    QueuedItem,
    checked_results,
    set_results,
)

if TYPE_CHECKING:
    import asyncio

#: Seconds after which a timer looks again, however long it is to wait.
_LONGEST: Final = 3600.0

AsyncProcessor = Callable[[list[Any]], Sequence[Any] | Awaitable[Sequence[Any]]]


class AsyncBatchProcessor(BatchBase):
    """`BatchProcessor` for the tasks of one event loop: the same, awaited. Processors may be coroutine functions.

    The parameters are those of `BatchProcessor`. A cancelled caller takes its item along if its batch has not begun, and does no
    harm to the others.
    """

    def __init__(
        self,
        processors: Mapping[str, AsyncProcessor],
        *,
        max_size: int = MAX_SIZE,
        max_delay: float = MAX_DELAY,
        max_queue: int | None = None,
        concurrency: int = 1,
    ) -> None:
        super().__init__(TaskWorker, processors, max_size, max_delay, max_queue, concurrency)

    async def submit(self, kind: str, item: Any, timeout: float | None = None) -> asyncio.Future[Any]:
        """The future result of an item. Waits for room in the queue, at most `timeout` seconds.

        Raises
        ------
        BatchError
            no processor is registered for that kind, or the processor lives in another event loop.
        BatchTimeout, BatchClosed
        """
        lane: TaskWorker = self._worker(kind)
        return await lane.submit(item, timeout)

    async def process(self, kind: str, item: Any, timeout: float | None = None) -> Any:
        """The result of an item; waits for it at most `timeout` seconds.

        Raises
        ------
        BatchTimeout
            the item is then taken back, if its batch has not begun.
        BatchSizeError
            the processor returned another number of results than it was given items.
        BatchError, BatchClosed, and what the processor raises
        """
        import asyncio

        if timeout is None:
            return await (await self.submit(kind, item))
        begun = asyncio.get_running_loop().time()
        future = await self.submit(kind, item, timeout)
        left = timeout - (asyncio.get_running_loop().time() - begun)
        try:
            done, _ = await asyncio.wait([future], timeout=max(0.0, left))
        except asyncio.CancelledError:
            future.cancel()
            raise
        if not done:
            future.cancel()
            raise BatchTimeout(kind, f"no result within {timeout:g} s")
        return future.result()

    async def close(self) -> None:
        """Process what waits, and take nothing more. Called by a processor it does not wait."""
        self._closed = True
        lanes = list(self._workers.values())
        for lane in lanes:
            lane.close()
        if INSIDE.get():
            return
        while not all(lane.queue.idle for lane in lanes):  # one lane's batch may submit to another one
            for lane in lanes:
                await lane.wait_until_idle()
        for lane in lanes:
            lane.end()

    async def __aenter__(self) -> AsyncBatchProcessor:
        return self

    async def __aexit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None:
        await self.close()


class TaskWorker(BatchWorker):
    """The queue of one kind, a timer for what waits, and a task for each batch in progress."""

    def __init__(self, kind: str, processor: AsyncProcessor, limits: BatchLimits) -> None:
        super().__init__(kind, processor, limits)
        self._begin_anew(None)

    async def submit(self, item: Any, timeout: float | None) -> asyncio.Future[Any]:
        """Take an item as soon as there is room."""
        import asyncio

        entry, there = self.offer(item)
        future: asyncio.Future[Any] = entry.future
        if there:
            return future
        room: asyncio.Future[None] = asyncio.get_running_loop().create_future()
        entry.admit = lambda: None if room.done() else room.set_result(None)
        try:
            await asyncio.wait([room], timeout=timeout)
        except asyncio.CancelledError:
            if not self.queue.withdraw(entry, "cancelled"):
                future.cancel()
            raise
        if not room.done() and self.queue.withdraw(entry):
            raise BatchTimeout(self.kind, self.full_text(timeout))
        return future

    def offer(self, item: Any) -> tuple[QueuedItem, bool]:
        """Take an item; False: it waits for room, and `entry.admit` is to be set at once."""
        loop = self._own_loop()
        self.check_open()
        entry = QueuedItem(item, loop.create_future())
        there = self.queue.offer(entry, loop.time())
        if there and (self._timer is None or self.queue.queued >= self.queue.limits.full):
            self._pump()
        return entry, there

    def flush(self) -> None:
        """Process what waits now; from any thread."""
        self.queue.flush()
        if self._loop is not None and not self._loop.is_closed():
            self._loop.call_soon_threadsafe(self._pump)

    def close(self) -> None:
        """Take items from processors at work only, and wait for no full batch."""
        self.queue.closed = True
        if self._loop is not None:
            self._own_loop()
            self._pump()

    async def wait_until_idle(self) -> None:
        """Wait until all batches are done."""
        while not self.queue.idle:
            done = self._own_loop().create_future()
            self._idle.append(done)
            await done

    def end(self) -> None:
        """Take nothing any more."""
        self.closed = True
        if self._timer is not None:
            self._timer.cancel()

    def _begin_anew(self, loop: asyncio.AbstractEventLoop | None) -> None:
        closed = self.queue.closed
        self.queue = BatchQueue(self.queue.limits)
        self.queue.closed = closed
        self._loop = loop
        self._timer: asyncio.TimerHandle | None = None
        self._tasks: set[asyncio.Task[None]] = set()
        self._idle: list[asyncio.Future[None]] = []

    def _own_loop(self) -> asyncio.AbstractEventLoop:
        import asyncio

        loop = asyncio.get_running_loop()
        if self._loop is not loop:
            if self._loop is not None and not self._loop.is_closed():
                raise BatchError(self.kind, "the processor belongs to another event loop: make one for each")
            self._begin_anew(loop)  # what a loop that has ended left behind, nobody waits for
        return loop

    def _pump(self) -> None:
        """Begin what is due, and see to it that what is not is looked at in time."""
        loop = self._own_loop()
        while (wait := self.queue.due(loop.time())) is not None:
            if wait > 0:
                if self._timer is None:  # one that is due earlier will look again
                    self._timer = loop.call_later(min(wait, _LONGEST), self._on_time)
                break
            batch = self.queue.take(loop.time())
            if batch:
                task = loop.create_task(self._run(batch))
                self._tasks.add(task)
                task.add_done_callback(self._tasks.discard)
        if self.queue.idle:
            for done in self._idle:
                if not done.done():
                    done.set_result(None)
            self._idle.clear()

    def _on_time(self) -> None:
        self._timer = None
        self._pump()

    async def _run(self, batch: list[QueuedItem]) -> None:
        import asyncio

        INSIDE.set(True)
        failed, errors = False, 0
        try:
            results = self.processor([entry.item for entry in batch])
            if inspect.isawaitable(results):
                results = await results
            listed = checked_results(results, len(batch))
        except BaseException as error:
            failed = True
            set_results(batch, [self.batch_error(error)] * len(batch))
            if isinstance(error, asyncio.CancelledError | KeyboardInterrupt | SystemExit | GeneratorExit):
                raise
        else:
            errors = set_results(batch, listed)
        finally:
            self.queue.done(failed=failed, item_errors=errors)
            with contextlib.suppress(RuntimeError):  # the loop may be ending
                self._pump()
