"""Joining the baseline files that the shards of one run recorded: numbers of nobody are lost, and none are invented."""

from __future__ import annotations

from collections.abc import Iterable, Iterator, Mapping
from dataclasses import dataclass, field
from typing import NamedTuple

from pytest_perfguard.core.model import Record
from pytest_perfguard.engine.baseline.schema import Baseline, MachineClass


class Conflict(NamedTuple):
    """One test that two shards recorded, with different figures."""

    nodeid: str
    class_name: str
    first: str
    second: str
    """Names of the two files."""

    def __str__(self) -> str:
        return (
            f"{self.nodeid} was recorded twice on {self.class_name}: in {self.first} and, with other figures, in {self.second}; "
            "run each test in one shard only, or leave one of the files out"
        )


@dataclass(frozen=True)
class Joined:
    """What `join` found."""

    baseline: Baseline
    """Where there is a conflict, it holds the figures of the first file."""
    conflicts: tuple[Conflict, ...] = ()
    unrecorded: Mapping[str, tuple[str, ...]] = field(default_factory=dict)
    """By machine class that any shard recorded: tests that were there before and that no shard recorded. A shard that is missing
    shows here, and so does a test that is gone."""
    silent: tuple[str, ...] = ()
    """Files with nothing new in them: of a shard that recorded nothing."""


def join(shards: Mapping[str, Baseline], before: Baseline | None = None) -> Joined:
    """One baseline from those of several shards.

    Parameters
    ----------
    shards
        by file name, which is what conflicts name.
    before
        the baseline that every shard began with, where they began with one: a record that a shard left as it was there is not
        its own. None: every record of a shard is its own.

    Notes
    -----
    Records that no shard changed stay as they were before, unlike the order of the files, which decides nothing but a conflict.
    """
    start = before or Baseline()
    joined: dict[str, _Part] = {name: _Part(part) for name, part in start.classes.items()}
    conflicts: list[Conflict] = []
    silent: list[str] = []
    for file, shard in shards.items():
        own = list(_own(shard, start))
        if not own:
            silent.append(file)
        for class_name, part, nodeid, record in own:
            there = joined.setdefault(class_name, _Part(MachineClass()))
            first = there.origin.get(nodeid)
            if first is None:
                there.put(file, part, nodeid, record)
            elif there.tests[nodeid] != record:
                conflicts.append(Conflict(nodeid, class_name, first, file))
    classes = {name: part.whole() for name, part in joined.items()}
    unrecorded = {
        name: tuple(sorted(set(start.tests_of(name)) - set(part.origin)))
        for name, part in joined.items()
        if part.origin
    }
    return Joined(
        Baseline(classes), tuple(conflicts), {name: left for name, left in unrecorded.items() if left}, tuple(silent)
    )


def untold(baseline: Baseline, class_name: str, reported: Iterable[str]) -> tuple[str, ...]:
    """Tests of this machine class that none of the reports tells of, given the node ids in all of them: a missing shard's."""
    return tuple(sorted(set(baseline.tests_of(class_name)) - set(reported)))


def _own(shard: Baseline, before: Baseline) -> Iterator[tuple[str, MachineClass, str, Record]]:
    """What this shard recorded itself."""
    for class_name, part in shard.classes.items():
        known = before.tests_of(class_name)
        for nodeid, record in part.tests.items():
            if known.get(nodeid) != record:
                yield class_name, part, nodeid, record


class _Part:
    """A machine class that is being put together."""

    def __init__(self, start: MachineClass) -> None:
        self._head = start
        self.tests = dict(start.tests)
        self.origin: dict[str, str] = {}
        """The file that each new record came from."""

    def put(self, file: str, part: MachineClass, nodeid: str, record: Record) -> None:
        self.tests[nodeid] = record
        self.origin[nodeid] = file
        # Time stamps are ISO 8601 in UTC: text that sorts.
        if not self._head.machine or str(part.stamp.get("at", "")) >= str(self._head.stamp.get("at", "")):
            self._head = part

    def whole(self) -> MachineClass:
        return MachineClass(self._head.machine, self._head.stamp, self.tests)
