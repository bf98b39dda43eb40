"""Find what retains leaked objects: containers and types that grew, with the shortest chain of references."""

from __future__ import annotations

from array import array
from collections import deque
from collections.abc import Iterable, Iterator, Mapping, Sized
from dataclasses import dataclass
from typing import Final, TypeGuard

from pytest_perfguard.engine.leaks.reference_graph import FixtureValues, ReferenceGraph, type_name

MAX_CONTAINERS: Final = 3
MAX_TYPES: Final = 3
#: Growth below this rate per call is chance.
MIN_PER_CALL: Final = 0.02
#: Modules whose types are components of other objects. The objects that contain them are more informative.
_COMPONENT_MODULES: Final = frozenset({"builtins", "_thread", "_contextvars"})
_CONTAINER_TYPES: Final = (list, dict, set, deque, bytearray, array)


@dataclass(frozen=True)
class HeapCensus:
    """Number of objects by type, and length of each container."""

    types: Mapping[type, int]
    lengths: Mapping[int, int]
    """Number of items of each container, by its `id`."""
    identities: frozenset[int]


@dataclass(frozen=True)
class Retainer:
    """Description of something that has grown, and the fixture that retains it; "" if no fixture does."""

    line: str
    fixture: str = ""
    scope: str = ""


def take_census(fixtures: FixtureValues | None = None) -> HeapCensus:
    """Count the reachable objects, without perfguard's own."""
    objects = ReferenceGraph(HeapCensus, fixtures).objects
    lengths = {id(obj): len(obj) for obj in objects if _is_container(obj)}
    return HeapCensus(_count_types(objects), lengths, frozenset(map(id, objects)))


def find_retainers(before: HeapCensus, calls: int, fixtures: FixtureValues | None = None) -> Iterator[Retainer]:
    """Yield what has grown since the census: containers by length, then types by number of objects, the fastest first."""
    heap = ReferenceGraph(HeapCensus, fixtures)
    yield from _grown_containers(heap, before, calls)
    more = [
        ((count - before.types.get(kind, 0)) / calls, kind)
        for kind, count in _count_types(heap.objects).items()
        if kind.__module__ not in _COMPONENT_MODULES
    ]
    more.sort(key=lambda item: -item[0])
    for per_call, kind in more[:MAX_TYPES]:
        example = next((obj for obj in heap.objects if type(obj) is kind and id(obj) not in before.identities), None)
        if per_call >= MIN_PER_CALL and example is not None:
            line = f"{per_call:.3g} {type_name(kind)} per call; one is {heap.chain(example)}"
            yield _retainer(heap, example, line)


def _count_types(objects: Iterable[object]) -> dict[type, int]:
    # Not a collections.Counter, which would fill the caches of abstract classes: these would seem to grow.
    types: dict[type, int] = {}
    for obj in objects:
        types[type(obj)] = types.get(type(obj), 0) + 1
    return types


def _grown_containers(heap: ReferenceGraph, before: HeapCensus, calls: int) -> Iterator[Retainer]:
    more = [
        ((len(obj) - before.lengths[id(obj)]) / calls, obj)
        for obj in heap.objects
        if _is_container(obj) and id(obj) in before.lengths
    ]
    more.sort(key=lambda item: -item[0])
    for per_call, container in more[:MAX_CONTAINERS]:
        if per_call >= MIN_PER_CALL:
            kind = type_name(type(container))
            line = f"{heap.chain(container)}: a {kind} of {len(container)}, {per_call:.3g} more per call"
            yield _retainer(heap, container, line)


def _retainer(heap: ReferenceGraph, obj: object, line: str) -> Retainer:
    """Return the retainer, with its fixture if the project defines that fixture or several tests share it."""
    fixture = heap.fixture_of(obj)
    if fixture is None or (fixture.scope == "function" and not fixture.in_project):
        return Retainer(line)
    return Retainer(line, fixture.fixture, fixture.scope)


def _is_container(obj: object) -> TypeGuard[Sized]:
    return type(obj) in _CONTAINER_TYPES
