"""System metrics: readings of this process and of its event loops, written into a monitor's series."""

from __future__ import annotations

import contextlib
import gc
import sys
import time
import weakref
from collections.abc import Callable, Iterator
from typing import TYPE_CHECKING, Protocol

if TYPE_CHECKING:
    import asyncio

#: (name, value, labels)
Reading = tuple[str, float, dict[str, str]]


class MetricSink(Protocol):
    """The methods of a monitor that system metrics are written with."""

    def gauge(self, name: str, value: float, /, **labels: str) -> None: ...

    def observe(self, name: str, value: float, /, **labels: str) -> None: ...


class SystemCollector:
    """Reads the process and its watched event loops."""

    def __init__(self, sink: MetricSink, clock: Callable[[], float] = time.perf_counter) -> None:
        self._sink = sink
        self._clock = clock
        self._loops: weakref.WeakSet[asyncio.AbstractEventLoop] = weakref.WeakSet()

    def watch_loop(self, loop: asyncio.AbstractEventLoop) -> None:
        """Measure the delay of this loop from now on. The loop is not kept alive."""
        self._loops.add(loop)

    def collect(self) -> None:
        """Read everything once. Readings of a loop arrive when it runs the callback, whose delay is measured."""
        for name, value, labels in read_process():
            self._sink.gauge(name, value, **labels)
        for loop in list(self._loops):
            with contextlib.suppress(RuntimeError):  # it was closed
                loop.call_soon_threadsafe(self._record_loop, loop, self._clock())

    def _record_loop(self, loop: asyncio.AbstractEventLoop, scheduled: float) -> None:
        import asyncio

        self._sink.observe("asyncio.loop_delay_seconds", self._clock() - scheduled)
        self._sink.gauge("asyncio.tasks", len(asyncio.all_tasks(loop)))


def running_loop() -> asyncio.AbstractEventLoop | None:
    """Return the running event loop, or None. Does not import asyncio: a program without it has no loop."""
    if "asyncio" not in sys.modules:
        return None
    from asyncio import get_running_loop

    try:
        return get_running_loop()
    except RuntimeError:
        return None


def read_process() -> Iterator[Reading]:
    """Yield the readings that this system provides."""
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
    with contextlib.suppress(psutil.Error, AttributeError):  # macOS requires privileges, containers may refuse it
        yield "process.uss_bytes", process.memory_full_info().uss, {}
    for generation, (stats, count) in enumerate(zip(gc.get_stats(), gc.get_count(), strict=True)):
        labels = {"generation": str(generation)}
        yield "python.gc_collections", stats["collections"], labels
        yield "python.gc_collected", stats["collected"], labels
        yield "python.gc_pending", count, labels
