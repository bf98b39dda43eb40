"""An event that finalizers may use anywhere."""

from __future__ import annotations

import contextlib
import threading


class ReentrantEvent:
    """A `threading.Event` that a finalizer or a signal handler may set while its own thread begins or ends to wait.

    The standard library's holds a lock then, for which such a call would wait for ever. This one is a single lock, which is
    free while the event is set; each of its calls is atomic.
    """

    def __init__(self) -> None:
        self._gate = threading.Lock()
        self._gate.acquire()

    def is_set(self) -> bool:
        """Return whether the event is set."""
        return not self._gate.locked()

    def set(self) -> None:
        """Let all threads pass that wait, or will wait."""
        with contextlib.suppress(RuntimeError):  # it is set already
            self._gate.release()

    def clear(self) -> None:
        """Let threads wait from now on."""
        self._gate.acquire(blocking=False)

    def wait(self, seconds: float | None = None) -> bool:
        """Wait until the event is set, at most so many seconds; return whether it was set."""
        if not self._gate.acquire(timeout=-1 if seconds is None else min(max(0.0, seconds), threading.TIMEOUT_MAX)):
            return False
        self.set()  # for the others
        return True
