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
    """Reads a stream chunk by chunk, processes several chunks at a time in threads, and delivers the results.

    `for result in processor.run(source):`, or `processor.drain(source)` where the results are not needed. It reads on only
    while there is room: a slow consumer of the results slows down the reading. The source is read in the consumer's thread.
    A result that is ready while the source blocks is delivered when the source goes on.

    Parameters
    ----------
    process
        function of one chunk: a block of a binary file, or a list of items of an iterable (lines of a text file).
    chunk_bytes, chunk_items
        maximum bytes, or items, of a chunk, whichever comes first.
    max_memory
        maximum bytes of all chunks together, from reading a chunk to the delivery of its result.
    concurrency
        chunks that are processed at the same time.
    ordered
        deliver results in the order of the stream; otherwise in the order in which they are ready.
    on_error
        "stop": the first chunk that fails ends the stream with a `StreamError`. "collect": the stream goes on, and
        `processor.summary.errors` has the errors.
    progress
        called with a `StreamProgress` after each chunk, in the consumer's thread.
    weigh
        bytes of an item; by default the length of bytes and text, and `sys.getsizeof` of all else.
    clock
        seconds, for tests.
    """

    def run(self, source: object) -> Iterator[Any]:
        """Yield the results for a binary or text file, or any iterable.

        Raises
        ------
        StreamError
            a chunk failed. Errors of `source` itself are raised unchanged.
        """
        with self._begun() as run:
            yield from self._processed(run, source)

    def drain(self, source: object) -> StreamSummary:
        """Process the whole stream and drop the results; return the summary.

        Raises
        ------
        StreamError
        """
        with self._begun() as run:
            for _result in self._processed(run, source):
                pass
        return run.summary()

    def _processed(self, run: StreamRun, source: object) -> Iterator[object]:
        from concurrent.futures import ThreadPoolExecutor

        executor = ThreadPoolExecutor(self._concurrency, thread_name_prefix="perfguard-stream")
        try:
            yield from self._results(run, chunks(source, self._chunker(), self._chunk_bytes), executor.submit)
        finally:
            executor.shutdown(cancel_futures=True)

    def _results(
        self, run: StreamRun, source: Iterator[Chunk], submit: Callable[..., Future[object]]
    ) -> Iterator[object]:
        from concurrent.futures import FIRST_COMPLETED, wait

        window, more = run.window, True
        futures: dict[Future[object], Chunk] = {}
        waiting: list[Chunk] = []  # a chunk that is too large for the free memory
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
    def _take(run: StreamRun, future: Future[object], futures: dict[Future[object], Chunk]) -> None:
        error = future.exception()
        run.finished(futures.pop(future), None if error is not None else future.result(), error)
