"""Open resources of this process, which can be counted exactly: descriptors, threads, child processes, tasks, user
counters."""

from __future__ import annotations

import contextlib
import stat
import threading
from collections.abc import Callable, Hashable, Iterable, Mapping
from typing import Final

from pytest_perfguard.core.originals import gc, os, sys
from pytest_perfguard.core.originals import threading as the_threading
from pytest_perfguard.core.processes import child_pids
from pytest_perfguard.core.processes import thread_ids as native_threads

try:
    import fcntl
except ImportError:  # Windows
    fcntl = None  # type: ignore[assignment]

#: Descriptors that are looked at where the system lists none: the C library of Windows opens no more by default.
_MAX_DESCRIPTORS: Final = 512
#: Kind -> singular noun.
RESOURCE_NOUNS: Final[Mapping[str, str]] = {
    "files": "open file",
    "sockets": "socket",
    "threads": "thread",
    "native-threads": "native thread",
    "children": "child process",
    "tasks": "asyncio task",
    "uncollectable": "uncollectable object",
}

#: Threads of an event loop's default executor, which lives as long as the loop and is bounded.
_EXECUTOR_THREAD_PREFIX: Final = "asyncio_"

#: A user's counter: returns a number, or the objects themselves.
UserCounter = Callable[[], "int | Iterable[object]"]
#: Kind -> a key for each resource -> the Python object, if there is one.
OpenResources = Mapping[str, Mapping[Hashable, object]]


class ResourceCounter:
    """Reads the open resources of this process.

    Parameters
    ----------
    own
        the user's counters, by name. Those that are added later are read as well.
    """

    def __init__(self, own: Mapping[str, UserCounter] | None = None) -> None:
        taken = sorted(set(own or {}) & {*RESOURCE_NOUNS, "memory", "native", "mapped"})
        if taken:
            raise ValueError(
                f"a counter cannot be named {taken[0]!r}: perfguard counts that itself; choose another name"
            )
        self._own = own if own is not None else {}

    @property
    def kinds(self) -> tuple[str, ...]:
        return (*RESOURCE_NOUNS, *self._own)

    def read(self) -> OpenResources:
        """Return all open resources, by kind."""
        threads: dict[Hashable, threading.Thread] = {thread.ident: thread for thread in the_threading.enumerate()}
        files, sockets = _descriptors()
        tracker_pid, tracker_fd = _resource_tracker()
        held: dict[str, Mapping[Hashable, object]] = {
            "files": {key: None for key in files if key[0] != tracker_fd},
            "sockets": dict.fromkeys(sockets),
            "threads": {
                key: thread for key, thread in threads.items() if not thread.name.startswith(_EXECUTOR_THREAD_PREFIX)
            },
            "native-threads": self._native_threads(threads),
            "children": {pid: None for pid in child_pids() if pid != tracker_pid},
            "tasks": _tasks(),
            "uncollectable": {id(obj): obj for obj in gc.garbage},
        }
        for name, counter in list(self._own.items()):
            counted = counter()
            held[name] = (
                dict.fromkeys(range(counted)) if isinstance(counted, int) else {id(obj): obj for obj in counted}
            )
        return held

    def _native_threads(self, threads: Mapping[Hashable, threading.Thread]) -> Mapping[Hashable, None]:
        known = {thread.native_id for thread in threads.values()}
        with contextlib.suppress(Exception):  # macOS requires privileges that a test run does not have
            return {thread: None for thread in native_threads() if thread not in known}
        return {}


def noun_of(kind: str, count: float) -> str:
    """Return the noun for a number of resources, such as `open files` or `open file`. User counters keep their name."""
    noun = RESOURCE_NOUNS.get(kind, kind)
    if kind not in RESOURCE_NOUNS or count == 1:
        return noun
    return f"{noun}es" if noun.endswith("s") else f"{noun}s"


def new_resources(before: OpenResources, after: OpenResources) -> dict[str, dict[Hashable, object]]:
    """Return the resources in `after` that are not in `before`, without empty kinds."""
    found = {
        kind: {key: obj for key, obj in resources.items() if key not in before.get(kind, {})}
        for kind, resources in after.items()
    }
    return {kind: resources for kind, resources in found.items() if resources}


def _descriptors() -> tuple[list[tuple[int, str]], list[tuple[int, str]]]:
    """Return (files, sockets), each with number and name, because numbers of closed descriptors are reused.

    A socket of Windows is no descriptor, so it is not found there.
    """
    files: list[tuple[int, str]] = []
    sockets: list[tuple[int, str]] = []
    # Numbers, not paths; read again and again.
    numbers = map(int, os.listdir("/dev/fd")) if os.name == "posix" else range(_MAX_DESCRIPTORS)
    for descriptor in numbers:
        with contextlib.suppress(OSError):  # closed since, such as the descriptor of the listing itself
            is_socket = stat.S_ISSOCK(os.fstat(descriptor).st_mode)
            (sockets if is_socket else files).append((descriptor, descriptor_path(descriptor)))
    return files, sockets


def descriptor_path(descriptor: int) -> str:
    """Return the path of the file behind a descriptor; "" if the system does not report it."""
    if sys.platform == "linux":
        return os.readlink(f"/proc/self/fd/{descriptor}")  # the target need not be a path
    if hasattr(fcntl, "F_GETPATH"):  # macOS
        with contextlib.suppress(OSError):
            return fcntl.fcntl(descriptor, fcntl.F_GETPATH, bytes(1024)).rstrip(b"\0").decode(errors="replace")
    return ""


def _resource_tracker() -> tuple[int | None, int | None]:
    """Return (process number, descriptor) of the helper process that multiprocessing starts once and keeps."""
    module = sys.modules.get("multiprocessing.resource_tracker")
    tracker = getattr(module, "_resource_tracker", None)
    return getattr(tracker, "_pid", None), getattr(tracker, "_fd", None)


def _tasks() -> dict[Hashable, object]:
    """Return the unfinished tasks of all event loops."""
    asyncio = sys.modules.get("asyncio")
    if asyncio is None:
        return {}
    # From the garbage collector, because asyncio lists only those of one running loop.
    # By type, because isinstance() would resolve lazy proxies.
    tasks = [obj for obj in gc.get_objects() if issubclass(type(obj), asyncio.Task)]
    return {id(task): task for task in tasks if not task.done()}
