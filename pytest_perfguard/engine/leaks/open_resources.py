"""What a process holds that can be counted exactly: descriptors, sockets, threads, children, tasks, and the user's own."""

from __future__ import annotations

import contextlib
import fcntl
import stat
import threading
from collections.abc import Callable, Hashable, Iterable, Mapping
from typing import Any, Final

from pytest_perfguard.core.originals import gc, os, sys
from pytest_perfguard.core.originals import threading as the_threading
from pytest_perfguard.core.processes import child_pids
from pytest_perfguard.core.processes import thread_ids as native_threads

#: Kind -> what one of it is called.
RESOURCE_NOUNS: Final[Mapping[str, str]] = {
    "files": "open file",
    "sockets": "socket",
    "threads": "thread",
    "native-threads": "native thread",
    "children": "child process",
    "tasks": "asyncio task",
    "uncollectable": "uncollectable object",
}

#: Threads of an event loop's own executor, which lives as long as the loop and has a bound.
_EXECUTOR_THREAD_PREFIX: Final = "asyncio_"

#: What the user counts: a number, or the things themselves.
UserCounter = Callable[[], "int | Iterable[object]"]
#: Of each kind: a key for each thing that is there, and the thing itself where it is a Python object.
OpenResources = Mapping[str, Mapping[Hashable, Any]]


class ResourceCounter:
    """Reads what this process holds.

    Parameters
    ----------
    own
        the user's counters by name: a function each that returns a number, or the things that it counts.
    """

    def __init__(self, own: Mapping[str, UserCounter] | None = None) -> None:
        taken = sorted(set(own or {}) & {*RESOURCE_NOUNS, "memory", "native", "mapped"})
        if taken:
            raise ValueError(f"a counter cannot be called {taken[0]!r}: perfguard counts that itself")
        self._own = dict(own or {})

    @property
    def kinds(self) -> tuple[str, ...]:
        return (*RESOURCE_NOUNS, *self._own)

    def read(self) -> OpenResources:
        """All that is held now, by kind."""
        threads: dict[Hashable, threading.Thread] = {thread.ident: thread for thread in the_threading.enumerate()}
        files, sockets = _descriptors()
        tracker_pid, tracker_fd = _resource_tracker()
        held: dict[str, Mapping[Hashable, Any]] = {
            "files": {key: None for key in files if key[0] != tracker_fd},
            "sockets": dict.fromkeys(sockets),
            "threads": {
                key: thread for key, thread in threads.items() if not thread.name.startswith(_EXECUTOR_THREAD_PREFIX)
            },
            "native-threads": self._native_threads(threads),
            "children": {pid: None for pid in child_pids() if pid != tracker_pid},
            "tasks": _tasks(),
            "uncollectable": {id(thing): thing for thing in gc.garbage},
        }
        for name, counter in self._own.items():
            counted = counter()
            held[name] = (
                dict.fromkeys(range(counted)) if isinstance(counted, int) else {id(thing): thing for thing in counted}
            )
        return held

    def _native_threads(self, threads: Mapping[Hashable, threading.Thread]) -> Mapping[Hashable, None]:
        known = {thread.native_id for thread in threads.values()}
        with contextlib.suppress(Exception):  # macOS asks for privileges that a test run does not have
            return {thread: None for thread in native_threads() if thread not in known}
        return {}


def noun_of(kind: str, count: float) -> str:
    """`open files`, `1 open file`: what is counted, in the right number; the user's own kinds as they are called."""
    noun = RESOURCE_NOUNS.get(kind, kind)
    if kind not in RESOURCE_NOUNS or count == 1:
        return noun
    return f"{noun}es" if noun.endswith("s") else f"{noun}s"


def new_resources(before: OpenResources, after: OpenResources) -> dict[str, dict[Hashable, Any]]:
    """What is held after and was not held before; kinds of which there is none are left out."""
    found = {
        kind: {key: thing for key, thing in things.items() if key not in before.get(kind, {})}
        for kind, things in after.items()
    }
    return {kind: things for kind, things in found.items() if things}


def _descriptors() -> tuple[list[tuple[int, str]], list[tuple[int, str]]]:
    """(files, sockets) by number and name: a number that was closed is given out again."""
    files: list[tuple[int, str]] = []
    sockets: list[tuple[int, str]] = []
    for name in os.listdir("/dev/fd"):  # numbers, not paths; read again and again
        descriptor = int(name)
        with contextlib.suppress(OSError):  # closed meanwhile, such as that of the listing itself
            is_socket = stat.S_ISSOCK(os.fstat(descriptor).st_mode)
            (sockets if is_socket else files).append((descriptor, descriptor_path(descriptor)))
    return files, sockets


def descriptor_path(descriptor: int) -> str:
    """The file behind a descriptor, as the system names it; "" where it cannot."""
    if sys.platform == "linux":
        return os.readlink(f"/proc/self/fd/{descriptor}")  # what it says need not be a path
    if hasattr(fcntl, "F_GETPATH"):  # macOS
        with contextlib.suppress(OSError):
            return fcntl.fcntl(descriptor, fcntl.F_GETPATH, bytes(1024)).rstrip(b"\0").decode(errors="replace")
    return ""


def _resource_tracker() -> tuple[int | None, int | None]:
    """(process, descriptor) of the helper that multiprocessing starts once and keeps to the end."""
    module = sys.modules.get("multiprocessing.resource_tracker")
    tracker = getattr(module, "_resource_tracker", None)
    return getattr(tracker, "_pid", None), getattr(tracker, "_fd", None)


def _tasks() -> dict[Hashable, Any]:
    """Tasks that are not done, of any loop."""
    asyncio = sys.modules.get("asyncio")
    if asyncio is None:
        return {}
    # Through the collector: asyncio itself lists those of one running loop only.
    # By type, because isinstance() would wake up lazy proxies.
    tasks = [thing for thing in gc.get_objects() if issubclass(type(thing), asyncio.Task)]
    return {id(task): task for task in tasks if not task.done()}
