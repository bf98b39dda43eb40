"""Results of leak checks: frozen plain data, which a measuring process sends over its pipe."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field
from typing import Final

from pytest_perfguard.core.text import plural
from pytest_perfguard.core.units import format_size
from pytest_perfguard.engine.leaks.open_resources import noun_of

#: Kinds that are measured in bytes, with their description. All other kinds are counted.
BYTE_KINDS: Final[Mapping[str, str]] = {
    "memory": "memory",
    "native": "native memory (the C heap)",
    "mapped": "mapped memory (address space)",
}
#: Kinds of memory that only C code knows.
NATIVE_KINDS: Final = ("native", "mapped")


@dataclass(frozen=True)
class Leak:
    """One kind of memory or resource that grows with every call."""

    kind: str
    """`memory`, `native`, `mapped`, a kind of `open_resources.RESOURCE_NOUNS`, or a user's counter."""
    per_call: float
    """Growth in bytes, or in number."""
    lines: Sequence[str] = ()
    """Description of what leaks and where it comes from."""

    @property
    def unit(self) -> str:
        return "B" if self.kind in BYTE_KINDS else noun_of(self.kind, 2)

    def __str__(self) -> str:
        if self.kind in BYTE_KINDS:
            return f"{format_size(self.per_call)} of {BYTE_KINDS[self.kind]} per call"
        return f"{self.per_call:.3g} {noun_of(self.kind, self.per_call)} per call"


@dataclass(frozen=True)
class LeakReport:
    """Result of a leak check."""

    calls: int
    """Counted calls, after the warm-up."""
    leaks: Sequence[Leak] = ()
    growth: Mapping[str, float] = field(default_factory=dict)
    """Growth per call of every kind that was checked, leaking or not."""
    unsettled: str | None = None
    """The reason why the check has no result, if it has none."""
    rss: int = 0
    """Growth of the resident set over all these calls, in bytes."""
    uss: int = 0
    """Growth of the process's own part of it; 0 if the system does not report it."""
    notes: Sequence[str] = ()
    released: Mapping[str, float] = field(default_factory=dict)
    """Growth per call of the kinds that grew within each set-up and were freed by its teardown."""
    setups: int = 0
    """Number of set-ups in which the calls were made; 0: all in one."""
    retaining_fixtures: dict[str, str] = field(default_factory=dict)
    """The fixtures that retain what grew, with their scopes; "" stands for anything else that retains it."""

    @property
    def summary(self) -> str:
        """The number of calls, and the growth that the system reports."""
        own = f", by {format_size(self.uss)} its own part of it" if self.uss else ""
        if self.setups:
            return f"over {plural(self.calls, 'call')} in {plural(self.setups, 'set-up')}, each torn down"
        return (
            f"over {plural(self.calls, 'call')}, in which the resident set (RSS) grew by {format_size(self.rss)}{own}"
        )

    def lines(self) -> list[str]:
        """Return all lines of the explanation."""
        leaks = [line for leak in self.leaks for line in (f"leak: {leak}", *(f"    {line}" for line in leak.lines))]
        return [*leaks, f"seen {self.summary}", *self.notes]
