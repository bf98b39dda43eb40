"""Tasks of an asynchronous stream: one that reads, and one for each chunk in progress."""

from __future__ import annotations

import inspect
from collections.abc import AsyncGenerator, Callable, Iterator
from typing import TYPE_CHECKING, Any

from pytest_perfguard.core.callables import must_be_awaited
from pytest_perfguard.tools.streams.state import Chunk, process_one

if TYPE_CHECKING:
    import asyncio


class ChunkReader:
    """Reads one chunk on request, always in the same task: the source sees one context."""

    def __init__(self, source: AsyncGenerator[Chunk, None]) -> None:
        import asyncio

        self._source = source
        self._go = asyncio.Event()
        self._task: asyncio.Task[None] | None = None
        self.at_end = False
        self.requested = False
        self.waiting: Chunk | None = None
        """The chunk that was read and is not processed yet."""
        self.arrived: asyncio.Future[Chunk | None]

    def request(self) -> None:
        """Request the next chunk, unless it is requested already or the source is at its end."""
        import asyncio

        if self.requested or self.at_end:
            return
        self.requested = True
        loop = asyncio.get_running_loop()
        self.arrived = loop.create_future()
        self._go.set()
        if self._task is None:
            self._task = loop.create_task(self._read())

    def collect(self) -> None:
        """Take in the chunk that has arrived, if there is one. An error of the source is raised here."""
        if self.requested and self.arrived.done():
            self.requested = False
            self.waiting = self.arrived.result()
            self.at_end = self.waiting is None
            del self.arrived

    def take(self) -> Chunk:
        """Return the chunk that waits."""
        chunk, self.waiting = self.waiting, None
        if chunk is None:
            raise RuntimeError("no chunk waits")
        return chunk

    async def close(self) -> None:
        """End the task, and the source if it is a generator."""
        import asyncio

        if self._task is not None:
            self._task.cancel()
            await asyncio.gather(self._task, return_exceptions=True)
        await self._source.aclose()

    async def _read(self) -> None:
        import asyncio

        while True:
            await self._go.wait()
            self._go.clear()
            try:
                chunk = await anext(self._source, None)
            except BaseException as error:
                instead = asyncio.CancelledError() if isinstance(error, asyncio.CancelledError) else error
                if not self.arrived.done():
                    self.arrived.set_exception(instead)
                    self.arrived.exception()  # retrieved here: the consumer may have left
                if isinstance(error, asyncio.CancelledError):
                    raise
                return
            self.arrived.set_result(chunk)
            if chunk is None:
                return
            del chunk


class ChunkTasks:
    """Chunks in progress: coroutine functions in tasks, plain functions in threads of this stream."""

    def __init__(self, process: Callable[[Any], Any], concurrency: int) -> None:
        from concurrent.futures import ThreadPoolExecutor

        self._process = process
        self._executor = ThreadPoolExecutor(concurrency, thread_name_prefix="perfguard-stream")
        self._in_loop = must_be_awaited(process)
        self.tasks: dict[asyncio.Task[object], Chunk] = {}

    def begin(self, chunk: Chunk) -> None:
        """Process a chunk."""
        import asyncio

        task = asyncio.get_running_loop().create_task(self._processed(chunk.content))
        self.tasks[task] = chunk._replace(content=None)

    def finished(self) -> Iterator[tuple[Chunk, object, BaseException | None]]:
        """Yield the chunks that are done, with their results and errors."""
        import asyncio

        for task in [task for task in self.tasks if task.done()]:
            error = asyncio.CancelledError() if task.cancelled() else task.exception()
            yield self.tasks.pop(task), None if error is not None else task.result(), error

    async def close(self) -> None:
        """Cancel the chunks in progress, and wait for them: a thread cannot be interrupted."""
        import asyncio

        for task in self.tasks:
            task.cancel()
        await asyncio.gather(*self.tasks, return_exceptions=True)
        if not self._in_loop:
            self._executor.shutdown(wait=False, cancel_futures=True)
            await asyncio.to_thread(self._executor.shutdown)

    async def _processed(self, content: object) -> object:
        import asyncio
        from contextvars import copy_context

        if self._in_loop:
            return await self._process(content)
        loop = asyncio.get_running_loop()
        held = [content]
        del content
        result = await loop.run_in_executor(self._executor, copy_context().run, process_one, self._process, held)
        return await result if inspect.isawaitable(result) else result
