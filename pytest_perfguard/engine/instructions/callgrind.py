"""Client requests to valgrind's callgrind, made by a few bytes of machine code that `ctypes` calls.

Valgrind recognizes a sequence of instructions that changes nothing on a real CPU, and then reads the request from the
arguments in memory (valgrind manual, "The Client Request mechanism"; `valgrind.h`, `callgrind.h`).
"""

from __future__ import annotations

import ctypes
import functools
import mmap
import platform
from collections.abc import Callable, Mapping
from typing import Final

from pytest_perfguard.core.errors import CannotCount

#: Machine -> the code of `unsigned long request(unsigned long *arguments)`, which returns 0 outside of valgrind.
MACHINE_CODE: Final[Mapping[str, bytes]] = {
    "x86_64": bytes.fromhex(
        "4889f8"  # mov rax, rdi: the arguments
        "31d2"  # xor edx, edx: the default result
        "48c1c703 48c1c70d 48c1c73d 48c1c733"  # rol rdi by 3, 13, 61 and 51: by 128 bits altogether
        "4887db"  # xchg rbx, rbx
        "4889d0"  # mov rax, rdx
        "c3"  # ret
    ),
    "aarch64": bytes.fromhex(
        "e40300aa"  # mov x4, x0: the arguments
        "030080d2"  # mov x3, #0: the default result
        "8c0dcc93 8c35cc93 8ccdcc93 8cf5cc93"  # ror x12 by 3, 13, 51 and 61: by 128 bits altogether
        "4a010aaa"  # orr x10, x10, x10
        "e00303aa"  # mov x0, x3
        "c0035fd6"  # ret
    ),
}
_TOOL: Final = (ord("C") << 24) + (ord("T") << 16)
DUMP_STATS: Final = _TOOL
START_INSTRUMENTATION: Final = _TOOL + 4
STOP_INSTRUMENTATION: Final = _TOOL + 5
#: A request of valgrind's core: whether the process runs under it.
RUNNING_ON_VALGRIND: Final = 0x1001

Request = Callable[[int], int]


class NotUnderCallgrind(CannotCount):
    """The process was not started by callgrind, or on a machine without a known request sequence."""

    def __str__(self) -> str:
        return "this process cannot count instructions: it does not run under valgrind"


class CallgrindCounter:
    """Switches callgrind's counters. Counts arrive in dump files, which the controller reads."""

    def __init__(self, request: Request) -> None:
        self._request = request
        self._dumps = 0
        if not request(RUNNING_ON_VALGRIND):
            raise NotUnderCallgrind
        # Off until here: the start of the process and the collection of tests run several times as fast.
        request(START_INSTRUMENTATION)

    def start(self) -> None:
        """Set the counters of all threads to zero.

        A dump does so completely, and the request that is meant for it does not: some counts of before would be left.
        """
        self.stop()

    def stop(self) -> int:
        """Write the counts since `start` to a file, and return the number of the file."""
        self._request(DUMP_STATS)
        self._dumps += 1
        return self._dumps

    def close(self) -> None:
        """End the counting: what is left of the process runs several times as fast."""
        self._request(STOP_INSTRUMENTATION)


@functools.cache
def callgrind_counter() -> CallgrindCounter:
    """Return the counter of this process.

    Raises
    ------
    NotUnderCallgrind
    """
    code = MACHINE_CODE.get(platform.machine())
    if code is None:
        raise NotUnderCallgrind
    return CallgrindCounter(_request_function(code))


def _request_function(code: bytes) -> Request:
    """Return a function that makes the request of a number."""
    memory = mmap.mmap(-1, mmap.PAGESIZE, prot=mmap.PROT_READ | mmap.PROT_WRITE | mmap.PROT_EXEC)
    memory.write(code)
    entry = ctypes.addressof(ctypes.c_char.from_buffer(memory))
    call = ctypes.CFUNCTYPE(ctypes.c_ulong, ctypes.c_void_p)(entry)
    arguments = (ctypes.c_ulong * 6)()

    def request(number: int) -> int:
        arguments[0] = number
        return int(call(ctypes.addressof(arguments)))

    request.__dict__["memory"] = memory  # holds the code as long as the function exists
    return request
