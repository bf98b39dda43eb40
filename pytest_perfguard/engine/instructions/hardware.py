"""Count instructions with the CPU's own counter: Linux's `perf_event_open` (man 2 perf_event_open), through `ctypes`."""

from __future__ import annotations

import ctypes
import functools
import os
import platform
import struct
from collections.abc import Callable, Mapping
from typing import Final, Protocol

from pytest_perfguard.core.errors import CannotCount

#: Machine -> number of the system call.
SYSCALL_NUMBERS: Final[Mapping[str, int]] = {"x86_64": 298, "aarch64": 241}
_PERF_TYPE_HARDWARE: Final = 0
_COUNT_INSTRUCTIONS: Final = 1
#: Bits of the attribute's flags: disabled at first, inherited by new threads and processes, user space only.
_DISABLED, _INHERIT, _EXCLUDE_KERNEL, _EXCLUDE_HYPERVISOR = 1 << 0, 1 << 1, 1 << 5, 1 << 6
#: `struct perf_event_attr`, version 0: type, size, config, sample period, sample type, read format, flags; the rest is 0.
_ATTRIBUTE: Final = struct.Struct("=IIQQQQQ16x")
_RESET, _ENABLE, _DISABLE = 0x2403, 0x2400, 0x2401
_FLAG_CLOSE_ON_EXEC: Final = 8


class NoHardwareCounter(CannotCount):
    """The kernel grants no counter; `problem` names its error."""

    def __init__(self, problem: str) -> None:
        self.problem = problem

    def __str__(self) -> str:
        return f"no hardware counter of instructions: {self.problem}"


class CounterCalls(Protocol):
    """The system calls of a counter."""

    def open(self, attribute: bytes) -> int: ...

    def control(self, descriptor: int, request: int) -> None: ...

    def read(self, descriptor: int) -> int: ...


class HardwareCounter:
    """Counter of the user-space instructions of this thread, and of the threads and processes that it starts."""

    def __init__(self, calls: CounterCalls) -> None:
        self._calls = calls
        self._descriptor = calls.open(event_attribute())

    def start(self) -> None:
        """Set the counter to zero and let it run."""
        self._calls.control(self._descriptor, _RESET)
        self._calls.control(self._descriptor, _ENABLE)

    def stop(self) -> int:
        """Halt the counter, and return the instructions since `start`."""
        self._calls.control(self._descriptor, _DISABLE)
        return self._calls.read(self._descriptor)


def event_attribute() -> bytes:
    """Return the description of the counter for the kernel."""
    flags = _DISABLED | _INHERIT | _EXCLUDE_KERNEL | _EXCLUDE_HYPERVISOR
    return _ATTRIBUTE.pack(_PERF_TYPE_HARDWARE, _ATTRIBUTE.size, _COUNT_INSTRUCTIONS, 0, 0, 0, flags)


class KernelCalls:
    """The system calls of Linux."""

    def __init__(self) -> None:
        self._libc = ctypes.CDLL(None, use_errno=True)

    def open(self, attribute: bytes) -> int:
        number = SYSCALL_NUMBERS.get(platform.machine())
        if number is None or platform.system() != "Linux":
            raise NoHardwareCounter(f"not supported on {platform.system()} {platform.machine()}")
        this_process, any_cpu, no_group = 0, -1, -1
        given = ctypes.create_string_buffer(attribute, len(attribute))
        descriptor = int(self._libc.syscall(number, given, this_process, any_cpu, no_group, _FLAG_CLOSE_ON_EXEC))
        if descriptor < 0:
            raise NoHardwareCounter(f"perf_event_open: {os.strerror(ctypes.get_errno())}")
        return descriptor

    def control(self, descriptor: int, request: int) -> None:
        if self._libc.ioctl(descriptor, request, 0) < 0:
            raise NoHardwareCounter(f"ioctl: {os.strerror(ctypes.get_errno())}")

    def read(self, descriptor: int) -> int:
        return int.from_bytes(os.read(descriptor, 8), "little")


@functools.cache
def hardware_counter() -> HardwareCounter:
    """Return the counter of this process.

    Raises
    ------
    NoHardwareCounter
    """
    return HardwareCounter(KernelCalls())


def problem_with_hardware(calls: Callable[[], CounterCalls] = KernelCalls) -> str | None:
    """Return why hardware counters cannot be used; None if one counts."""
    try:
        counter = HardwareCounter(calls())
        counter.start()
        return None if counter.stop() > 0 else "the counter stays at 0"
    except (NoHardwareCounter, OSError) as error:
        return str(error)
