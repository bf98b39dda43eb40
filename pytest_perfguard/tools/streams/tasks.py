"""The tasks of an asynchronous stream: one that reads, and one for each chunk in progress."""

from __future__ import annotations

import inspect
from collections.abc import AsyncGenerator, Callable, Iterator
from typing import TYPE_CHECKING, Any

from pytest_perfguard.tools.streams.state import Chunk, process_one

if TYPE_CHECKING:
    import asyncio


class ChunkReader:
    """Reads one chunk whenever it is wanted, all in one task: what the source keeps in its context stays together."""

    def __init__(self, source: AsyncGenerator[Chunk, None]) -> None:
        import asyncio

        self._source = source
        self._go = asyncio.Event()
        self._task: asyncio.Task[None] | None = None
        self.at_end = False
        self.wanted = False
        self.waiting: Chunk | None = None
        """What has been read and is not processed yet."""
        self.arrived: asyncio.Future[Chunk | None]

    def want(self) -> None:
        """Read on, unless that is under way or the source is at its end."""
        import asyncio

        if self.wanted or self.at_end:
            return
        self.wanted = True
        loop = asyncio.get_running_loop()
        self.arrived = loop.create_future()
        self._go.set()
        if self._task is None:
            self._task = loop.create_task(self._read())

    def look(self) -> None:
        """Has something arrived? What the source raised is raised here."""
        if self.wanted and self.arrived.done():
            self.wanted = False
            self.waiting = self.arrived.result()
            self.at_end = self.waiting is None
            del self.arrived

    def taken(self) -> Chunk:
        """What was waiting."""
        assert self.waiting is not None
        chunk, self.waiting = self.waiting, None
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
                    self.arrived.exception()  # told, whether or not somebody looks
                if isinstance(error, asyncio.CancelledError):
                    raise
                return
            self.arrived.set_result(chunk)
            if chunk is None:
                return
            del chunk


class ChunkTasks:
    """The chunks in progress: coroutine functions in tasks, plain functions in threads of this stream's own."""

    def __init__(self, process: Callable[[Any], Any], concurrency: int) -> None:
        from concurrent.futures import ThreadPoolExecutor

        self._process = process
        self._executor = ThreadPoolExecutor(concurrency, thread_name_prefix="perfguard-stream")
        self._in_loop = inspect.iscoroutinefunction(process) or inspect.iscoroutinefunction(type(process).__call__)
        self.tasks: dict[asyncio.Task[Any], Chunk] = {}

    def begin(self, chunk: Chunk) -> None:
        """Process it."""
        import asyncio

        task = asyncio.get_running_loop().create_task(self._processed(chunk.content))
        self.tasks[task] = chunk._replace(content=None)

    def finished(self) -> Iterator[tuple[Chunk, Any, BaseException | None]]:
        """What has ended since the last look."""
        import asyncio

        for task in [task for task in self.tasks if task.done()]:
            error = asyncio.CancelledError() if task.cancelled() else task.exception()
            yield self.tasks.pop(task), None if error is not None else task.result(), error

    async def close(self) -> None:
        """Cancel what is in progress, and wait for it: nobody can end a thread."""
        import asyncio

        for task in self.tasks:
            task.cancel()
        await asyncio.gather(*self.tasks, return_exceptions=True)
        if not self._in_loop:
            self._executor.shutdown(wait=False, cancel_futures=True)
            await asyncio.to_thread(self._executor.shutdown)

    async def _processed(self, content: Any) -> Any:
        import asyncio
        from contextvars import copy_context

        if self._in_loop:
            return await self._process(content)
        loop = asyncio.get_running_loop()
        held = [content]
        del content
        result = await loop.run_in_executor(self._executor, copy_context().run, process_one, self._process, held)
        return await result if inspect.isawaitable(result) else result
