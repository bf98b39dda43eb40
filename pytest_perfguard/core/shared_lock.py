"""One reentrant lock for the short internal steps of caches and monitors.

The garbage collector may run finalizers of the user in the middle of any step, and they may use another cache or monitor. With a lock
for each object, two threads could wait for each other's. With one reentrant lock for all of them they cannot.
"""

from __future__ import annotations

import os
import threading
from typing import Final

SHARED_LOCK: Final = threading.RLock()


class _Steps(threading.local):
    number = 0


#: The number of steps without the lock that this thread is in, and for which other threads wait.
STEPS: Final = _Steps()


def in_shared_step() -> bool:
    """Return whether this thread is in a step: a finalizer or a signal handler has interrupted it.

    Such code must not wait for another thread, which may wait for the end of the step.
    """
    return STEPS.number > 0 or holds_shared_lock()


def holds_shared_lock() -> bool:
    """Return whether this thread holds the lock."""
    return bool(SHARED_LOCK._is_owned())  # type: ignore[attr-defined]  # as `threading.Condition` uses it


if hasattr(
    os, "register_at_fork"
):  # in a child, no other thread holds it; the standard library resets its own locks in the same way
    os.register_at_fork(after_in_child=SHARED_LOCK._at_fork_reinit)  # type: ignore[attr-defined]
