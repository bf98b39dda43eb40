"""`StreamProcessor`: a long stream in chunks, several at a time, in bounded memory."""

from __future__ import annotations

from collections.abc import Callable, Iterator
from itertools import islice
from typing import TYPE_CHECKING, Any

from pytest_perfguard.tools.streams.base import StreamBase, StreamRun, StreamSummary
from pytest_perfguard.tools.streams.chunks import chunks
from pytest_perfguard.tools.streams.state import Chunk, process_one

if TYPE_CHECKING:
    from concurrent.futures import Future


class StreamProcessor(StreamBase):
    """Reads a stream chunk by chunk, processes several at a time in threads, and delivers the results.

    `for result in processor.run(source):`, or `processor.drain(source)` where there are no results to look at. It reads on only
    while there is room: whoever takes the results slowly slows the reading down. The source is read by whoever takes the results, so
    that a result that is finished while the source keeps it waiting comes when the source goes on.

    Parameters
    ----------
    process
        called with a chunk: what a binary file reads at once, or a list of the items of an iterable (of a text file: lines).
    chunk_bytes, chunk_items
        a chunk ends at so many bytes, or items, whichever comes first.
    max_memory
        bytes that all chunks may take together, from their reading to the delivery of their result.
    concurrency
        chunks that are processed at the same time.
    ordered
        deliver in the order of the stream; otherwise as they are done.
    on_error
        "stop": the first chunk that fails ends the stream, with a `StreamError`. "collect": the others go on, and
        `processor.summary.errors` has them.
    progress
        called with a `StreamProgress` after each chunk, in the thread that takes the results.
    weigh
        bytes of an item; by default the length of bytes and text, and `sys.getsizeof` of all else.
    clock
        seconds, for tests.
    """

    def run(self, source: Any) -> Iterator[Any]:
        """The results for a binary or text file, or any iterable, as they come.

        Raises
        ------
        StreamError
            a chunk failed; what `source` itself raises is raised as it is.
        """
        with self._begun() as run:
            yield from self._processed(run, source)

    def drain(self, source: Any) -> StreamSummary:
        """Process all, and forget the results.

        Raises
        ------
        StreamError
        """
        with self._begun() as run:
            for _result in self._processed(run, source):
                pass
        return run.summary()

    def _processed(self, run: StreamRun, source: Any) -> Iterator[Any]:
        from concurrent.futures import ThreadPoolExecutor

        executor = ThreadPoolExecutor(self._concurrency, thread_name_prefix="perfguard-stream")
        try:
            yield from self._results(run, chunks(source, self._chunker(), self._chunk_bytes), executor.submit)
        finally:
            executor.shutdown(cancel_futures=True)

    def _results(self, run: StreamRun, source: Iterator[Chunk], submit: Callable[..., Any]) -> Iterator[Any]:
        from concurrent.futures import FIRST_COMPLETED, wait

        window, more = run.window, True
        futures: dict[Future[Any], Chunk] = {}
        waiting: list[Chunk] = []  # one that turned out to be too large for what is in memory just now
        while more or futures or waiting:
            reads = more and not waiting and window.may_read(self._chunk_bytes)
            if reads:
                waiting = list(islice(source, 1))
                more = bool(waiting)
            if waiting and window.may_start(waiting[0].weight):
                chunk = waiting.pop()
                window.started(chunk)
                futures[submit(process_one, self._process, [chunk.content])] = chunk._replace(content=None)
                del chunk
            done, _ = wait(futures, timeout=0 if reads else None, return_when=FIRST_COMPLETED)
            while done:
                self._take(run, done.pop(), futures)
            yield from self._delivered(run)

    @staticmethod
    def _take(run: StreamRun, future: Future[Any], futures: dict[Future[Any], Chunk]) -> None:
        error = future.exception()
        run.finished(futures.pop(future), None if error is not None else future.result(), error)
