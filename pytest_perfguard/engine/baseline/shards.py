"""Merge the baseline files that the shards of one run recorded. No record is lost."""

from __future__ import annotations

from collections.abc import Iterable, Iterator, Mapping
from dataclasses import dataclass, field
from typing import NamedTuple

from pytest_perfguard.core.model import Record
from pytest_perfguard.engine.baseline.schema import Baseline, MachineClass


class Conflict(NamedTuple):
    """A test that two shards recorded with different numbers."""

    nodeid: str
    class_name: str
    first: str
    second: str
    """Names of the two files."""

    def __str__(self) -> str:
        return (
            f"{self.nodeid} was recorded twice on {self.class_name}: in {self.first} and, with other numbers, in {self.second}; "
            "run each test in one shard only, or leave one of the files out"
        )


@dataclass(frozen=True)
class MergedBaseline:
    """Result of `merge_shards`."""

    baseline: Baseline
    """In a conflict, it holds the record of the first file."""
    conflicts: tuple[Conflict, ...] = ()
    unrecorded: Mapping[str, tuple[str, ...]] = field(default_factory=dict)
    """Machine class that any shard recorded -> tests recorded before, but by no shard: those of a missing shard, and
    removed ones."""
    silent: tuple[str, ...] = ()
    """Files of shards that recorded nothing."""


def merge_shards(shards: Mapping[str, Baseline], before: Baseline | None = None) -> MergedBaseline:
    """Return one baseline made of those of several shards. The order of the files matters only in a conflict.

    Parameters
    ----------
    shards
        by file name, which appears in conflicts.
    before
        the baseline with which every shard began: records equal to it are not new, and stay. None: every record is new.
    """
    start = before or Baseline()
    merged: dict[str, _MergedClass] = {name: _MergedClass(part) for name, part in start.classes.items()}
    conflicts: list[Conflict] = []
    silent: list[str] = []
    for file, shard in shards.items():
        own = list(_own_records(shard, start))
        if not own:
            silent.append(file)
        for class_name, part, nodeid, record in own:
            there = merged.setdefault(class_name, _MergedClass(MachineClass()))
            first = there.origin.get(nodeid)
            if first is None:
                there.put(file, part, nodeid, record)
            elif there.tests[nodeid] != record:
                conflicts.append(Conflict(nodeid, class_name, first, file))
    classes = {name: part.whole() for name, part in merged.items()}
    unrecorded = {
        name: tuple(sorted(set(start.tests_of(name)) - set(part.origin)))
        for name, part in merged.items()
        if part.origin
    }
    return MergedBaseline(
        Baseline(classes), tuple(conflicts), {name: left for name, left in unrecorded.items() if left}, tuple(silent)
    )


def unreported(baseline: Baseline, class_name: str, reported: Iterable[str]) -> tuple[str, ...]:
    """Return the tests of this machine class that are in no report: those of a missing shard.

    Parameters
    ----------
    reported
        node ids in all reports.
    """
    return tuple(sorted(set(baseline.tests_of(class_name)) - set(reported)))


def _own_records(shard: Baseline, before: Baseline) -> Iterator[tuple[str, MachineClass, str, Record]]:
    """Yield the records that this shard made itself."""
    for class_name, part in shard.classes.items():
        known = before.tests_of(class_name)
        for nodeid, record in part.tests.items():
            if known.get(nodeid) != record:
                yield class_name, part, nodeid, record


class _MergedClass:
    """A machine class while its shards are merged."""

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
