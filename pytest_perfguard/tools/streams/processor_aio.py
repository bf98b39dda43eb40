"""`AsyncStreamProcessor`: the same for asyncio."""

from __future__ import annotations

import contextlib
from collections.abc import AsyncGenerator
from typing import Any

from pytest_perfguard.tools.streams.base import StreamBase, StreamRun, StreamSummary
from pytest_perfguard.tools.streams.chunks import chunks_async
from pytest_perfguard.tools.streams.tasks import ChunkReader, ChunkTasks


class AsyncStreamProcessor(StreamBase):
    """`StreamProcessor` for asyncio: `async for result in processor.run(source):`.

    The source may be an asynchronous iterable, an object whose `read` is awaited, such as `asyncio.StreamReader`, or whatever
    `StreamProcessor` takes. `process` is a coroutine function; a plain one is called in a thread. The parameters are
    those of `StreamProcessor`.
    """

    async def run(self, source: Any) -> AsyncGenerator[Any, None]:
        """The results as they come.

        Raises
        ------
        StreamError
            a chunk failed; what `source` itself raises is raised as it is.
        """
        with self._begun() as run:
            async with contextlib.aclosing(self._results(run, source)) as results:
                async for result in results:
                    yield result
                    del result

    async def drain(self, source: Any) -> StreamSummary:
        """Process all, and forget the results.

        Raises
        ------
        StreamError
        """
        with self._begun() as run:
            async with contextlib.aclosing(self._results(run, source)) as results:
                async for _result in results:
                    pass
        return run.summary()

    async def _results(self, run: StreamRun, source: Any) -> AsyncGenerator[Any, None]:
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
    ) -> AsyncGenerator[Any, None]:
        import asyncio

        window = run.window
        while not reader.at_end or work.tasks:
            if reader.waiting is None and window.may_read(self._chunk_bytes):
                reader.want()
            if reader.waiting is not None and window.may_start(reader.waiting.weight):
                window.started(reader.waiting)
                work.begin(reader.taken())
                continue
            arriving = [reader.arrived] if reader.wanted else []
            await asyncio.wait([*arriving, *work.tasks], return_when=asyncio.FIRST_COMPLETED)
            reader.look()
            for chunk, result, error in work.finished():
                run.finished(chunk, result, error)
            for result in self._delivered(run):
                yield result
