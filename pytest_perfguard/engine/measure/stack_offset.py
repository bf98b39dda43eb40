"""Shift the interpreter's stack under a measured call.

CPython 3.11 and newer keep the frames of Python functions in chunks of 16 KiB. A call that crosses the end of a chunk
maps and unmaps memory each time, which makes it up to a hundred times as long. Whether it crosses depends on the depth
at which it is called. Therefore every round is called through one frame of another size.
"""

from __future__ import annotations

from collections.abc import Callable, Coroutine, Generator
from functools import lru_cache
from types import FunctionType
from typing import Final, TypeVar, cast

#: Machine words per chunk of CPython's stack (`DATA_STACK_CHUNK_SIZE`, 16 KiB).
CHUNK_SLOTS: Final = 2048
#: Offsets are multiples of this number of words, which limits the number of functions that are created.
STEP_SLOTS: Final = 16
#: Fractional part of the golden ratio. Its multiples modulo one cover the unit interval evenly, whatever their number.
_GOLDEN_RATIO_FRACTION: Final = 0.6180339887498949

_T = TypeVar("_T")


def stack_offset(index: int) -> int:
    """Return the offset of the `index`-th round in machine words: a low-discrepancy sequence over one chunk (Weyl)."""
    return int(index * _GOLDEN_RATIO_FRACTION % 1.0 * CHUNK_SLOTS) // STEP_SLOTS * STEP_SLOTS


def call_shifted(slots: int, function: Callable[..., _T], *arguments: object) -> _T:
    """Call `function` with its frames `slots` machine words further up the stack."""
    return cast("_T", _forward_with_frame(slots)(function, arguments))


class AwaitShifted(Generator[object, object, _T]):
    """Awaitable that runs every step of a coroutine `slots` machine words further up the stack."""

    def __init__(self, slots: int, coroutine: Coroutine[object, object, _T]) -> None:
        self._slots = slots
        self._coroutine = coroutine

    def __await__(self) -> Generator[object, object, _T]:
        return self

    def __iter__(self) -> AwaitShifted[_T]:
        return self

    def __next__(self) -> object:
        return self.send(None)

    def send(self, value: object) -> object:
        return call_shifted(self._slots, self._coroutine.send, value)

    def throw(self, *error: object) -> object:
        return call_shifted(self._slots, self._coroutine.throw, *error)

    def close(self) -> None:
        self._coroutine.close()


def _forward(function: Callable[..., object], arguments: tuple[object, ...]) -> object:
    return function(*arguments)


@lru_cache(maxsize=CHUNK_SLOTS // STEP_SLOTS + 1)
def _forward_with_frame(slots: int) -> Callable[[Callable[..., object], tuple[object, ...]], object]:
    """Return a function like `_forward` whose frame is `slots` machine words larger."""
    code = _forward.__code__
    return FunctionType(code.replace(co_stacksize=code.co_stacksize + slots), {})
