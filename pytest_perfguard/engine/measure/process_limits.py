"""The limits of this process at the start of the run, for perfguard code that runs after tests have lowered them."""

from __future__ import annotations

import contextlib
import os
import sys
from collections.abc import Iterator, Mapping
from typing import NamedTuple

try:
    import resource
except ImportError:  # Windows
    _RESOURCES: tuple[int, ...] = ()
else:
    _RESOURCES = tuple(sorted({getattr(resource, name) for name in dir(resource) if name.startswith("RLIMIT_")}))


class ProcessLimits(NamedTuple):
    """The recursion limit, the umask, and the soft resource limits by resource number."""

    recursion: int
    umask: int
    soft: Mapping[int, int]

    @classmethod
    def current(cls) -> ProcessLimits:
        """Return the limits in effect now."""
        umask = os.umask(0)
        os.umask(umask)
        return cls(sys.getrecursionlimit(), umask, {kind: soft for kind, (soft, _hard) in _resource_limits()})

    def restore(self) -> None:
        """Set these limits again, within a hard limit that has been lowered."""
        with contextlib.suppress(RecursionError):  # the stack is deeper than this limit
            sys.setrecursionlimit(self.recursion)
        os.umask(self.umask)
        for kind, (soft, hard) in _resource_limits():
            wanted = _within_hard_limit(self.soft.get(kind, soft), hard)
            if wanted != soft:
                with contextlib.suppress(
                    OSError, ValueError
                ):  # the system refuses; code that needs the limit reports it
                    resource.setrlimit(kind, (wanted, hard))

    @contextlib.contextmanager
    def applied(self) -> Iterator[None]:
        """Apply these limits inside the block, and restore the limits found before it."""
        found = ProcessLimits.current()
        if found == self:
            yield
            return
        self.restore()
        try:
            yield
        finally:
            found.restore()


def _resource_limits() -> Iterator[tuple[int, tuple[int, int]]]:
    for kind in _RESOURCES:
        with contextlib.suppress(OSError, ValueError):  # unknown to this kernel
            yield kind, resource.getrlimit(kind)


def _within_hard_limit(soft: int, hard: int) -> int:
    """Return the soft limit, or the hard limit if that is lower."""
    if hard == resource.RLIM_INFINITY:
        return soft
    return hard if soft == resource.RLIM_INFINITY else min(soft, hard)
