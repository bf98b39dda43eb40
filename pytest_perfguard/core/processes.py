"""What the system knows of this process and of its children. On Linux read from /proc by functions that no test can replace."""

from __future__ import annotations

import contextlib
from collections.abc import Iterator, Mapping
from typing import Final, NamedTuple

from pytest_perfguard.core.originals import os, read_bytes, sys

#: Lines of `smaps_rollup` that count memory of this process alone, in kilobytes.
_PRIVATE: Final = ("Private_Clean:", "Private_Dirty:", "Private_Hugetlb:")
#: Fields of /proc/PID/stat behind the name, which may hold anything: parent, and CPU ticks in user and system mode.
_PARENT, _USER, _SYSTEM = 1, 11, 12


class MemoryUsage(NamedTuple):
    """In bytes."""

    rss: int
    vms: int


def memory_usage() -> MemoryUsage:
    """Of this process."""
    if _has_proc():
        vms, rss, *_ = (int(pages) for pages in read_bytes("/proc/self/statm").split())
        page = os.sysconf("SC_PAGE_SIZE")
        return MemoryUsage(rss * page, vms * page)
    import psutil

    info = psutil.Process().memory_info()
    return MemoryUsage(info.rss, info.vms)


def private_bytes() -> int:
    """Memory that would be free if this process ended.

    Raises
    ------
    Exception
        of any kind where the system does not tell: macOS and containers may refuse it.
    """
    if _has_proc():
        rows = (line.split() for line in read_bytes("/proc/self/smaps_rollup").decode().splitlines())
        return sum(int(row[1]) * 1024 for row in rows if row[0] in _PRIVATE)
    import psutil

    uss: int = psutil.Process().memory_full_info().uss
    return uss


def thread_ids() -> list[int]:
    """The native identifiers of this process's threads.

    Raises
    ------
    Exception
        of any kind where the system does not tell: macOS asks for privileges that a test run does not have.
    """
    if _has_proc():
        return [int(name) for name in os.listdir("/proc/self/task")]
    import psutil

    return [thread.id for thread in psutil.Process().threads()]


def child_pids() -> list[int]:
    """The process numbers of this process's children."""
    if _has_proc():
        own = os.getpid()
        return [number for number, stat in _process_stats() if int(stat[_PARENT]) == own]
    import psutil

    return [child.pid for child in psutil.Process().children()]


def descendants_cpu_ns() -> int:
    """CPU time of all that descend from this process and live, in nanoseconds."""
    if _has_proc():
        stats = dict(_process_stats())
        tick = 1_000_000_000 // os.sysconf("SC_CLK_TCK")
        return sum(tick * (int(stats[number][_USER]) + int(stats[number][_SYSTEM])) for number in _descendants(stats))
    import psutil

    seconds = 0.0
    for child in psutil.Process().children(recursive=True):
        with contextlib.suppress(psutil.Error):  # it ended meanwhile
            times = child.cpu_times()
            seconds += times.user + times.system
    return round(seconds * 1e9)


def _has_proc() -> bool:
    return sys.platform == "linux" and bool(os.access("/proc/self/statm", os.R_OK))


def _process_stats() -> Iterator[tuple[int, list[bytes]]]:
    """Of every process that may be looked at: its number, and the fields of its `stat` from the state on."""
    for name in os.listdir("/proc"):
        if name.isdigit():
            with contextlib.suppress(OSError):  # it ended meanwhile
                yield int(name), read_bytes(f"/proc/{name}/stat").rpartition(b")")[2].split()


def _descendants(stats: Mapping[int, list[bytes]]) -> Iterator[int]:
    """The processes that descend from this one."""
    by_parent: dict[int, list[int]] = {}
    for number, stat in stats.items():
        by_parent.setdefault(int(stat[_PARENT]), []).append(number)
    waiting = list(by_parent.get(os.getpid(), ()))
    while waiting:
        number = waiting.pop()
        yield number
        waiting += by_parent.get(number, ())
