"""Memory, threads and child processes of this process, as the system reports them.

On Linux they are read from /proc by functions that a test cannot replace.
"""

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
    """Sizes in bytes."""

    rss: int
    vms: int


def memory_usage() -> MemoryUsage:
    """Return the memory of this process."""
    if _has_proc():
        vms, rss, *_ = (int(pages) for pages in read_bytes("/proc/self/statm").split())
        page = os.sysconf("SC_PAGE_SIZE")
        return MemoryUsage(rss * page, vms * page)
    import psutil

    info = psutil.Process().memory_info()
    return MemoryUsage(info.rss, info.vms)


def private_bytes() -> int:
    """Return the memory that would be free if this process ended.

    Raises
    ------
    Exception
        of any type if the system does not report it; macOS and containers may refuse it.
    """
    if _has_proc():
        rows = (line.split() for line in read_bytes("/proc/self/smaps_rollup").decode().splitlines())
        return sum(int(row[1]) * 1024 for row in rows if row[0] in _PRIVATE)
    import psutil

    uss: int = psutil.Process().memory_full_info().uss
    return uss


def thread_ids() -> list[int]:
    """Return the native identifiers of this process's threads.

    Raises
    ------
    Exception
        of any type if the system does not report them; macOS requires privileges that a test run does not have.
    """
    if _has_proc():
        return [int(name) for name in os.listdir("/proc/self/task")]
    import psutil

    return [thread.id for thread in psutil.Process().threads()]


def child_pids() -> list[int]:
    """Return the process numbers of this process's children."""
    if _has_proc():
        own = os.getpid()
        return [number for number, stat in _process_stats() if int(stat[_PARENT]) == own]
    import psutil

    return [child.pid for child in psutil.Process().children()]


def descendants_cpu_ns() -> int:
    """Return the CPU time of all living descendants of this process, in nanoseconds."""
    if _has_proc():
        stats = dict(_process_stats())
        tick = 1_000_000_000 // os.sysconf("SC_CLK_TCK")
        return sum(tick * (int(stats[number][_USER]) + int(stats[number][_SYSTEM])) for number in _descendants(stats))
    import psutil

    seconds = 0.0
    for child in psutil.Process().children(recursive=True):
        with contextlib.suppress(psutil.Error):  # the process has ended
            times = child.cpu_times()
            seconds += times.user + times.system
    return round(seconds * 1e9)


def _has_proc() -> bool:
    return sys.platform == "linux" and bool(os.access("/proc/self/statm", os.R_OK))


def _process_stats() -> Iterator[tuple[int, list[bytes]]]:
    """Yield the number of every accessible process, and the fields of its `stat` from the state on."""
    for name in os.listdir("/proc"):
        if name.isdigit():
            with contextlib.suppress(OSError):  # the process has ended
                yield int(name), read_bytes(f"/proc/{name}/stat").rpartition(b")")[2].split()


def _descendants(stats: Mapping[int, list[bytes]]) -> Iterator[int]:
    """Yield the numbers of the processes that descend from this one."""
    by_parent: dict[int, list[int]] = {}
    for number, stat in stats.items():
        by_parent.setdefault(int(stat[_PARENT]), []).append(number)
    waiting = list(by_parent.get(os.getpid(), ()))
    while waiting:
        number = waiting.pop()
        yield number
        waiting += by_parent.get(number, ())
