"""Who keeps what was not let go: the containers and types that grew, with the shortest chain of references to them."""

from __future__ import annotations

from collections import deque
from collections.abc import Iterable, Iterator, Mapping
from dataclasses import dataclass
from typing import Any, Final

from pytest_perfguard.engine.leaks.reference_graph import FixtureValues, ReferenceGraph, type_name

MAX_CONTAINERS: Final = 3
MAX_TYPES: Final = 3
#: What grew by less than this per call grew by chance.
MIN_PER_CALL: Final = 0.02
#: Modules of types that things are made of: what they are parts of tells more.
_COMPONENT_MODULES: Final = frozenset({"builtins", "_thread", "_contextvars"})
_CONTAINER_TYPES: Final = (list, dict, set, deque)


@dataclass(frozen=True)
class HeapCensus:
    """How many objects of each type there are, and how long each container is."""

    types: Mapping[type, int]
    lengths: Mapping[int, int]
    """By identity."""
    identities: frozenset[int]


@dataclass(frozen=True)
class Retainer:
    """What has grown, in words, and the fixture that keeps it; "" where something else does."""

    line: str
    fixture: str = ""
    scope: str = ""


def take_census(owners: FixtureValues | None = None) -> HeapCensus:
    """Count what is alive, without what is ours."""
    reached = ReferenceGraph(HeapCensus, owners).objects
    lengths = {id(thing): len(thing) for thing in reached if _is_container(thing)}
    return HeapCensus(_count_types(reached), lengths, frozenset(map(id, reached)))


def find_retainers(before: HeapCensus, calls: int, owners: FixtureValues | None = None) -> Iterator[Retainer]:
    """What has grown since: containers by their length, types by the number of their objects, the most first."""
    heap = ReferenceGraph(HeapCensus, owners)
    yield from _grown_containers(heap, before, calls)
    more = [
        ((count - before.types.get(kind, 0)) / calls, kind)
        for kind, count in _count_types(heap.objects).items()
        if kind.__module__ not in _COMPONENT_MODULES
    ]
    more.sort(key=lambda item: -item[0])
    for per_call, kind in more[:MAX_TYPES]:
        example = next(
            (thing for thing in heap.objects if type(thing) is kind and id(thing) not in before.identities), None
        )
        if per_call >= MIN_PER_CALL and example is not None:
            line = f"{per_call:.3g} {type_name(kind)} per call; one is {heap.chain(example)}"
            yield _retainer(heap, example, line)


def _count_types(things: Iterable[Any]) -> dict[type, int]:
    # By hand: a Counter would fill the caches of abstract classes, which then seem to grow.
    types: dict[type, int] = {}
    for thing in things:
        types[type(thing)] = types.get(type(thing), 0) + 1
    return types


def _grown_containers(heap: ReferenceGraph, before: HeapCensus, calls: int) -> Iterator[Retainer]:
    more = [
        ((len(thing) - before.lengths[id(thing)]) / calls, thing)
        for thing in heap.objects
        if _is_container(thing) and id(thing) in before.lengths
    ]
    more.sort(key=lambda item: -item[0])
    for per_call, thing in more[:MAX_CONTAINERS]:
        if per_call >= MIN_PER_CALL:
            kind = type_name(type(thing))
            line = f"{heap.chain(thing)}: a {kind} of {len(thing)}, {per_call:.3g} more per call"
            yield _retainer(heap, thing, line)


def _retainer(heap: ReferenceGraph, thing: object, line: str) -> Retainer:
    """With the fixture that keeps it, if the project made that fixture or several tests share it."""
    owner = heap.fixture_of(thing)
    if owner is None or (owner.scope == "function" and not owner.own):
        return Retainer(line)
    return Retainer(line, owner.fixture, owner.scope)


def _is_container(thing: Any) -> bool:
    return type(thing) in _CONTAINER_TYPES
