"""Pin this process to one CPU."""

from __future__ import annotations

import contextlib
from collections.abc import Iterator

from pytest_perfguard.core.originals import os, read_bytes


class CpuAffinity:
    """Pins this process, its threads and its child processes to one CPU for a while.

    Threads are included because threads that communicate run at very different speeds, depending on whether the
    scheduler placed them on one CPU or on two.
    """

    def __init__(self) -> None:
        self._allowed = sorted(_cpus_of(0)) if hasattr(os, "sched_setaffinity") else []
        self._before: dict[int, set[int]] = {}
        self.is_supported = (
            bool(self._allowed) and _set_cpus(0, {self._allowed[0]}) and _set_cpus(0, set(self._allowed))
        )

    def pin(self, cpu: int) -> None:
        """Pin to the `cpu`-th of the allowed CPUs, modulo their number. Does nothing on a system without support."""
        if self.is_supported:
            self.release()
            self._before = {task: place for task in _threads_below() if (place := _cpus_of(task))}
            for task in self._before:
                _set_cpus(task, {self._allowed[cpu % len(self._allowed)]})

    def release(self) -> None:
        """Restore the affinities from before `pin`; threads that were started since get all allowed CPUs."""
        if self._before:
            before, self._before = self._before, {}
            for task in _threads_below():
                _set_cpus(task, before.get(task, set(self._allowed)))


def _set_cpus(task: int, cpus: set[int]) -> bool:
    try:
        os.sched_setaffinity(task, cpus)
    except OSError:  # the thread has ended, or a container forbids it
        return False
    return True


def _cpus_of(task: int) -> set[int]:
    try:
        return os.sched_getaffinity(task)
    except OSError:  # the thread has ended, or a container forbids it
        return set()


def _threads_below(process: int | str = "self") -> Iterator[int]:
    """Yield the threads of a process and of its descendants, as far as the kernel lists them."""
    with contextlib.suppress(OSError):
        for name in os.listdir(f"/proc/{process}/task"):
            yield int(name)
            with contextlib.suppress(OSError):  # a kernel without this list
                for child in read_bytes(f"/proc/{process}/task/{name}/children").split():
                    yield from _threads_below(int(child))
