"""The two sides of a pair: the processes, and what they gave so far."""

from __future__ import annotations

from collections.abc import Sequence, Set
from dataclasses import dataclass, field
from typing import NamedTuple

from pytest_perfguard.abtest.tally import Tally
from pytest_perfguard.abtest.worker import Worker


class Crew(NamedTuple):
    """A pair of processes."""

    base: Worker
    head: Worker


@dataclass
class Sides:
    """What is known of one test so far."""

    base: Tally = field(default_factory=lambda: Tally({}))
    head: Tally = field(default_factory=lambda: Tally({}))
    pinned: dict[str, bool] = field(default_factory=dict)
    """By label: is the point kept on one CPU?"""
    only_head: Set[str] = frozenset()
    """The modules that only the head's fresh interpreters import."""

    def note_instruments(self, base: Sequence[str], head: Sequence[str]) -> None:
        """What was active in the two processes and could not be paused."""
        self.base.note_instruments(base)
        self.head.note_instruments(head)
