"""The nouns of leak checks. Frozen, and plain data: they cross the pipe from a measuring process."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field
from typing import Final

from pytest_perfguard.core.units import format_size
from pytest_perfguard.engine.leaks.open_resources import noun_of

#: What grows in bytes, and what it is called; everything else is counted.
BYTE_KINDS: Final[Mapping[str, str]] = {
    "memory": "memory",
    "native": "native memory (the C heap)",
    "mapped": "mapped memory (address space)",
}
#: Of these, what only C code knows of.
NATIVE_KINDS: Final = ("native", "mapped")


@dataclass(frozen=True)
class Leak:
    """One kind of thing that grows with every call."""

    kind: str
    """`memory`, `native`, `mapped`, a kind of `counters.KINDS`, or a counter of the user's."""
    per_call: float
    """In bytes, or how many."""
    lines: Sequence[str] = ()
    """What it is and where it comes from."""

    @property
    def unit(self) -> str:
        return "B" if self.kind in BYTE_KINDS else noun_of(self.kind, 2)

    def __str__(self) -> str:
        if self.kind in BYTE_KINDS:
            return f"{format_size(self.per_call)} of {BYTE_KINDS[self.kind]} per call"
        return f"{self.per_call:.3g} {noun_of(self.kind, self.per_call)} per call"


@dataclass(frozen=True)
class LeakReport:
    """What a leak check found."""

    calls: int
    """Counted ones, after the warm-up."""
    leaks: Sequence[Leak] = ()
    growth: Mapping[str, float] = field(default_factory=dict)
    """Per call, of every kind that was looked at, leaking or not."""
    unsettled: str = ""
    """Not empty: why nothing can be said."""
    rss: int = 0
    """Bytes by which the resident set grew over all these calls."""
    uss: int = 0
    """The same of what this process has for itself; 0 where the system does not tell."""
    notes: Sequence[str] = ()
    released: Mapping[str, float] = field(default_factory=dict)
    """Per call, what grew within each set-up and was gone after its teardown."""
    setups: int = 0
    """In how many set-ups the calls were made; 0: all in one."""
    retaining_fixtures: dict[str, str] = field(default_factory=dict)
    """The fixtures that keep what grew, each with its scope; "" stands for anything else that does."""

    @property
    def summary(self) -> str:
        """How much was looked at, and what the system saw of it."""
        own = f", by {format_size(self.uss)} its own part of it" if self.uss else ""
        if self.setups:
            return f"over {self.calls} calls in {self.setups} set-ups, each torn down"
        return f"over {self.calls} calls, in which the resident set (RSS) grew by {format_size(self.rss)}{own}"

    def lines(self) -> list[str]:
        """The whole explanation."""
        leaks = [line for leak in self.leaks for line in (f"leak: {leak}", *(f"    {line}" for line in leak.lines))]
        return [*leaks, f"seen {self.summary}", *self.notes]
