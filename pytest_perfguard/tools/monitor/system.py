"""What the system tells of this process, and what an event loop tells of itself. Written into a monitor's series."""

from __future__ import annotations

import contextlib
import gc
import time
import weakref
from collections.abc import Callable, Iterator
from typing import TYPE_CHECKING, Protocol

if TYPE_CHECKING:
    import asyncio

#: (name, value, labels)
Reading = tuple[str, float, dict[str, str]]


class Recorder(Protocol):
    """The part of a monitor that is written to."""

    def gauge(self, name: str, value: float, /, **labels: str) -> None: ...

    def observe(self, name: str, value: float, /, **labels: str) -> None: ...


class SystemCollector:
    """Reads the process and its watched event loops into a recorder's series."""

    def __init__(self, recorder: Recorder, clock: Callable[[], float] = time.perf_counter) -> None:
        self._recorder = recorder
        self._clock = clock
        self._loops: weakref.WeakSet[asyncio.AbstractEventLoop] = weakref.WeakSet()

    def watch_loop(self, loop: asyncio.AbstractEventLoop) -> None:
        """Measure the delay of this loop as well, from now on; it is not kept alive."""
        self._loops.add(loop)

    def collect(self) -> None:
        """Read everything once. What a loop says arrives when it gets round to it, which is what is measured."""
        for name, value, labels in read_process():
            self._recorder.gauge(name, value, **labels)
        for loop in list(self._loops):
            with contextlib.suppress(RuntimeError):  # it was closed
                loop.call_soon_threadsafe(self._note_loop, loop, self._clock())

    def _note_loop(self, loop: asyncio.AbstractEventLoop, asked: float) -> None:
        import asyncio

        self._recorder.observe("asyncio.loop_delay_seconds", self._clock() - asked)
        self._recorder.gauge("asyncio.tasks", len(asyncio.all_tasks(loop)))


def read_process() -> Iterator[Reading]:
    """What can be had here: a system that does not tell something is asked for the rest."""
    import psutil

    process = psutil.Process()
    with process.oneshot():
        yield "process.rss_bytes", process.memory_info().rss, {}
        cpu = process.cpu_times()
        yield "process.cpu_seconds", cpu.user, {"mode": "user"}
        yield "process.cpu_seconds", cpu.system, {"mode": "system"}
        yield "process.threads", process.num_threads(), {}
        yield "process.uptime_seconds", max(0.0, time.time() - process.create_time()), {}
        with contextlib.suppress(psutil.Error, AttributeError):
            switches = process.num_ctx_switches()
            yield "process.context_switches", switches.voluntary, {"kind": "voluntary"}
            yield "process.context_switches", switches.involuntary, {"kind": "involuntary"}
    with contextlib.suppress(psutil.Error, AttributeError):
        yield "process.open_fds", process.num_fds(), {}
    with contextlib.suppress(psutil.Error, AttributeError):  # macOS asks for privileges, containers may refuse it
        yield "process.uss_bytes", process.memory_full_info().uss, {}
    for generation, (stats, count) in enumerate(zip(gc.get_stats(), gc.get_count(), strict=True)):
        labels = {"generation": str(generation)}
        yield "python.gc_collections", stats["collections"], labels
        yield "python.gc_collected", stats["collected"], labels
        yield "python.gc_pending", count, labels
