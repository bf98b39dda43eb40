"""Pause profilers, tracers, monitoring tools and time limits during a measurement."""

from __future__ import annotations

import contextlib
import threading as the_threading
from _tracemalloc import is_tracing as _is_tracing  # the module around it is loaded where it is used
from collections.abc import Callable, Iterator
from typing import Final, TypeVar

from pytest_perfguard.core.originals import os, sys, threading

#: Methods that pause and resume a tool installed by C code: cProfile and line_profiler; VizTracer.
_PAUSE_METHODS: Final = (("disable", "enable"), ("pause", "resume"))
#: Tool numbers of `sys.monitoring`.
_MONITORING_TOOL_IDS: Final = range(6)


@contextlib.contextmanager
def pause_tracers() -> Iterator[None]:
    """Pause profilers, tracers and monitoring tools (cProfile, coverage, debuggers) inside the block, also for new
    threads."""
    with contextlib.ExitStack() as stack:
        stack.callback(_pause(sys.gettrace(), sys.settrace))
        stack.callback(_pause(sys.getprofile(), sys.setprofile))
        stack.callback(_pause(threading.gettrace(), threading.settrace))
        stack.callback(_pause(threading.getprofile(), threading.setprofile))
        stack.enter_context(_pause_monitoring())
        yield


def unpausable_tracers() -> list[str]:
    """Return the active tools and settings that make code slower or its memory larger and cannot be paused."""
    return list(_unpausable_tracers())


def _unpausable_tracers() -> Iterator[str]:
    if str(getattr(threading.getprofile(), "__module__", "")).startswith("memray"):
        yield "memray is tracking allocations"
    if _is_tracing():
        yield "tracemalloc is tracing"
    for kind, active in (("profiler", sys.getprofile()), ("tracer", sys.gettrace())):
        if active is not None and not callable(active) and _pause_methods_of(active) is None:
            yield f"the {kind} {type(active).__module__}.{type(active).__qualname__} cannot be paused"
    if sys.flags.dev_mode:
        yield "Python runs in development mode (-X dev)"
    elif not sys.flags.ignore_environment and os.environ.get("PYTHONMALLOC", "").endswith("debug"):
        yield f"PYTHONMALLOC is {os.environ['PYTHONMALLOC']}"
    if _loop_in_debug_mode():
        yield "the event loop is in debug mode"


def _loop_in_debug_mode() -> bool:
    asyncio = sys.modules.get("asyncio")
    loop = asyncio._get_running_loop() if asyncio is not None else None
    return loop is not None and bool(loop.get_debug())


_T = TypeVar("_T")


def _pause(active: _T | None, install: Callable[[_T | None], object]) -> Callable[[], object]:
    """Pause an installed tool; return the function that resumes it.

    A tool that is not visible from Python is left alone: only the C code that installed it can restore it (yappi).
    """
    if active is None:
        return _do_nothing
    switch = None if callable(active) else _pause_methods_of(active)
    if switch is not None:
        pause, resume = switch
        pause()
        return resume
    if callable(active):
        install(None)
        return lambda: install(active)
    return _do_nothing


def _do_nothing() -> None:
    """Resume function of a tool that was not paused."""


def _pause_methods_of(active: object) -> tuple[Callable[[], object], Callable[[], object]] | None:
    for off, on in _PAUSE_METHODS:
        pause, resume = getattr(active, off, None), getattr(active, on, None)
        if callable(pause) and callable(resume):
            return pause, resume
    return None


@contextlib.contextmanager
def _pause_monitoring() -> Iterator[None]:
    """Pause the events of every tool of `sys.monitoring` (3.12 and newer). Events of single code objects find no
    callback."""
    monitoring = getattr(sys, "monitoring", None)
    if monitoring is None:
        yield
        return
    kinds = [getattr(monitoring.events, name) for name in dir(monitoring.events) if name.isupper()]
    kinds = [kind for kind in kinds if kind]
    masks = {
        tool: monitoring.get_events(tool) for tool in _MONITORING_TOOL_IDS if monitoring.get_tool(tool) is not None
    }
    callbacks: list[tuple[int, int, object]] = []
    for tool in masks:
        monitoring.set_events(tool, 0)
        callbacks += [(tool, kind, monitoring.register_callback(tool, kind, None)) for kind in kinds]
    try:
        yield
    finally:
        for tool, kind, callback in callbacks:
            if callback is not None and monitoring.get_tool(tool) is not None:
                monitoring.register_callback(tool, kind, callback)
        for tool, mask in masks.items():
            if monitoring.get_tool(tool) is not None:
                monitoring.set_events(tool, mask)


@contextlib.contextmanager
def pause_time_limits() -> Iterator[None]:
    """Pause the time limits that a fixture has set for one call of the test: an alarm, and faulthandler's traceback."""
    import signal

    left = repeat = 0.0
    if the_threading.current_thread() is the_threading.main_thread():
        left, repeat = signal.setitimer(signal.ITIMER_REAL, 0)
    if "faulthandler" in sys.modules:  # cannot be restored, because faulthandler does not expose its settings
        sys.modules["faulthandler"].cancel_dump_traceback_later()
    try:
        yield
    finally:
        if left:
            signal.setitimer(signal.ITIMER_REAL, left, repeat)
