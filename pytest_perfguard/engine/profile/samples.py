"""The sampled profile: a thread reads the stack of the measured call at intervals, while nothing is traced.

Sampling does not lengthen small functions, so it corrects the deterministic profile. It also covers two cases that the
deterministic profile misses: threads started before the call, and coroutines that wait while the event loop is idle.
"""

from __future__ import annotations

from collections.abc import Generator, Iterator, Mapping
from functools import lru_cache
from pathlib import PurePath
from types import CodeType, FrameType
from typing import TYPE_CHECKING, Final

from pytest_perfguard.core.originals import CLOCKS, sys, threading
from pytest_perfguard.core.timing import Timing
from pytest_perfguard.engine.measure.executor import RUN_SETUP, CallStep, time_awaits, time_calls
from pytest_perfguard.engine.measure.stack_offset import AwaitShifted
from pytest_perfguard.engine.profile.model import Function, StackSamples
from pytest_perfguard.engine.profile.names import Namer

if TYPE_CHECKING:
    from asyncio import Task

INTERVAL: Final = 0.0005
#: Seconds after which a thread that computes hands over to the sampler.
_SWITCH_INTERVAL: Final = 0.0001
MAX_DEPTH: Final = 200
#: The frames that call the measured function: what lies above them is its stack.
_CALLERS: Final = frozenset({time_calls.__code__, time_awaits.__code__})
#: Modules of the standard library in whose functions a thread waits for another one, or an event loop for events.
_WAITING: Final = frozenset({"threading", "queue", "selectors", "subprocess", "base_events", "events", "runners"})
_WAITING_PACKAGES: Final = frozenset({"asyncio", "concurrent", "multiprocessing"})

_Codes = tuple[CodeType, ...]


def sample_stacks(iterations: int, root: str) -> Generator[CallStep, Timing, StackSamples]:
    """Sample `iterations` calls of the measured function."""
    yield RUN_SETUP
    sampler = _Sampler(_running_task())
    sampler.start()
    try:
        timing = yield CallStep(iterations, count_switches=False)
    finally:
        sampler.stop()
    namer = Namer(root)
    stacks: dict[tuple[Function, ...], int] = {}
    for codes, count in sampler.found.items():
        stack = tuple(_functions(codes, namer))
        stacks[stack] = stacks.get(stack, 0) + count
    return StackSamples(stacks, timing.wall_ns / 1e9 / iterations)


def _functions(codes: _Codes, namer: Namer) -> Iterator[Function]:
    last = None
    for code in codes:
        named = namer.of_code(code)
        if named is not None and named.function != last:  # recursion, and what is a part of its function, counts once
            last = named.function
            yield last


class _Sampler:
    """Reads the stacks of the other threads in a thread of its own."""

    def __init__(self, task: Task[object] | None) -> None:
        self._task = task
        self._main = threading.get_ident()
        self._stopped = False
        self._thread = threading.Thread(target=self._run, name="perfguard-sampler", daemon=True)
        self._before: dict[int, tuple[int, int]] = {}
        self.found: dict[_Codes, int] = {}

    def start(self) -> None:
        self._before = {ident: _place_of(frame) for ident, frame in sys._current_frames().items()}
        self._interval = sys.getswitchinterval()
        sys.setswitchinterval(_SWITCH_INTERVAL)
        self._thread.start()

    def stop(self) -> None:
        self._stopped = True
        self._thread.join()
        sys.setswitchinterval(self._interval)

    def _run(self) -> None:
        me = threading.get_ident()
        while not self._stopped:
            CLOCKS.sleep(INTERVAL)
            frames = sys._current_frames()
            frames.pop(me, None)
            codes = self._stack(frames)
            del frames  # or they, and all that they refer to, outlive their calls
            if codes:
                self.found[codes] = self.found.get(codes, 0) + 1

    def _stack(self, frames: Mapping[int, FrameType]) -> _Codes:
        main = frames.get(self._main)
        if main is None or self._stopped:
            return ()
        codes = _codes_of(main)
        inside = _above_caller(codes)
        waits = _is_waiting(codes[-1])
        if not waits:
            # Without the caller it is the set-up, or another task of the event loop.
            return inside or (_other_task(codes) if self._task is not None else ())
        for ident, frame in frames.items():
            # A thread that has not moved since the sampling began waits for something in C code, such as a socket.
            if ident != self._main and self._before.get(ident) != _place_of(frame):
                others = _codes_of(frame)
                if not _is_waiting(others[-1]):
                    return others
        if self._task is not None:
            return inside or _above_caller(tuple(_chain(self._task.get_coro())))
        # An event loop that the measured call has started itself.
        awaited = tuple(code for coroutine in _started_coroutine(main) for code in _chain(coroutine))
        return inside + awaited


def _place_of(frame: FrameType) -> tuple[int, int]:
    """Return the position of a thread, which changes with every step of its code."""
    return id(frame), frame.f_lasti


def _codes_of(frame: FrameType | None) -> _Codes:
    codes: list[CodeType] = []
    while frame is not None and len(codes) < MAX_DEPTH:
        codes.append(frame.f_code)
        frame = frame.f_back
    return tuple(reversed(codes))


def _above_caller(codes: _Codes) -> _Codes:
    """Return the part of the stack that belongs to the measured call; empty if the call is not running."""
    for index in range(len(codes) - 1, -1, -1):
        if codes[index] in _CALLERS:
            return codes[index + 1 :]
    return ()


def _other_task(codes: _Codes) -> _Codes:
    """Return the part of the stack above the event loop's own frames."""
    for index in range(len(codes) - 1, -1, -1):
        if _is_waiting(codes[index]):
            return codes[index + 1 :]
    return ()


def _started_coroutine(frame: FrameType | None) -> Iterator[object]:
    """Yield the coroutine that an event loop of asyncio further down this stack was started for."""
    while frame is not None:
        if frame.f_code.co_name == "run_until_complete" and "asyncio" in frame.f_code.co_filename:
            future = frame.f_locals.get("future")
            if future is not None and hasattr(future, "get_coro"):
                yield future.get_coro()
            return
        frame = frame.f_back


@lru_cache(maxsize=4096)
def _is_waiting(code: CodeType) -> bool:
    file = PurePath(code.co_filename)
    if "site-packages" in file.parts:
        return False
    return (file.parent.name.startswith("python3") and file.stem in _WAITING) or (
        not _WAITING_PACKAGES.isdisjoint(file.parts[-3:-1]) and any(part.startswith("python3") for part in file.parts)
    )


def _running_task() -> Task[object] | None:
    """Return the task of the running event loop; None outside of one."""
    asyncio = sys.modules.get("asyncio")
    if asyncio is None or asyncio._get_running_loop() is None:
        return None
    task: Task[object] | None = asyncio.current_task()
    return task


def _chain(coroutine: object) -> Iterator[CodeType]:
    """Yield the code of a suspended coroutine and of those that it awaits, outermost first."""
    current = coroutine
    for _ in range(MAX_DEPTH):
        if isinstance(current, AwaitShifted):
            current = current._coroutine
        code = next(
            (found for name in ("cr_code", "gi_code", "ag_code") if (found := getattr(current, name, None))), None
        )
        if code is not None:
            yield code
        current = next(
            (found for name in ("cr_await", "gi_yieldfrom", "ag_await") if (found := getattr(current, name, None))),
            None,
        )
        if current is None:
            return
