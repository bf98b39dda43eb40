"""`AsyncStreamProcessor`: a long stream in chunks, for asyncio."""

from __future__ import annotations

import contextlib
from collections.abc import AsyncGenerator
from typing import Any

from pytest_perfguard.tools.streams.base import StreamBase, StreamRun, StreamSummary
from pytest_perfguard.tools.streams.chunks import chunks_async
from pytest_perfguard.tools.streams.tasks import ChunkReader, ChunkTasks


class AsyncStreamProcessor(StreamBase):
    """`StreamProcessor` for asyncio: `async for result in processor.run(source):`.

    The source may be an asynchronous iterable, an object with an asynchronous `read`, such as `asyncio.StreamReader`, or a
    source for `StreamProcessor`. `process` is a coroutine function; a plain function is called in a thread. The parameters
    are those of `StreamProcessor`.
    """

    _for_tasks = True

    async def run(self, source: object) -> AsyncGenerator[Any, None]:
        """Yield the results.

        Raises
        ------
        StreamError
            a chunk failed. Errors of `source` itself are raised unchanged.
        """
        with self._begun() as run:
            async with contextlib.aclosing(self._results(run, source)) as results:
                async for result in results:
                    yield result
                    del result

    async def drain(self, source: object) -> StreamSummary:
        """Process the whole stream and drop the results; return the summary.

        Raises
        ------
        StreamError
        """
        with self._begun() as run:
            async with contextlib.aclosing(self._results(run, source)) as results:
                async for _result in results:
                    pass
        return run.summary()

    async def _results(self, run: StreamRun, source: object) -> AsyncGenerator[object, None]:
        reader = ChunkReader(chunks_async(source, self._chunker(), self._chunk_bytes))
        work = ChunkTasks(self._process, self._concurrency)
        try:
            async for result in self._read_and_processed(run, reader, work):
                yield result
                del result
        finally:
            try:
                await reader.close()
            finally:
                await work.close()

    async def _read_and_processed(
        self, run: StreamRun, reader: ChunkReader, work: ChunkTasks
    ) -> AsyncGenerator[object, None]:
        import asyncio

        window = run.window
        while not reader.at_end or work.tasks:
            if reader.waiting is None and window.may_read(self._chunk_bytes):
                reader.request()
            if reader.waiting is not None and window.may_start(reader.waiting.weight):
                window.started(reader.waiting)
                work.begin(reader.take())
                continue
            awaited: list[asyncio.Future[Any]] = [*work.tasks]
            if reader.requested:
                awaited.append(reader.arrived)
            await asyncio.wait(awaited, return_when=asyncio.FIRST_COMPLETED)
            reader.collect()
            for chunk, result, error in work.finished():
                run.finished(chunk, result, error)
            for result in self._delivered(run):
                yield result
