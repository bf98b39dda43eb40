"""Who keeps what was not let go: the containers and types that grew, with the shortest chain of references to them."""

from __future__ import annotations

from collections import deque
from collections.abc import Iterable, Iterator, Mapping
from dataclasses import dataclass
from typing import Any, Final

from pytest_perfguard.engine.leaks.heap_census import Heap, Owners, type_name

MOST_HOLDERS: Final = 3
MOST_TYPES: Final = 3
#: What grew by less than this per call grew by chance.
LEAST_PER_CALL: Final = 0.02
#: Modules of types that things are made of: what they are parts of tells more.
_PARTS: Final = frozenset({"builtins", "_thread", "_contextvars"})
_CONTAINERS: Final = (list, dict, set, deque)


@dataclass(frozen=True)
class Census:
    """How many objects of each type there are, and how long each container is."""

    types: Mapping[type, int]
    lengths: Mapping[int, int]
    """By identity."""
    identities: frozenset[int]


@dataclass(frozen=True)
class Holder:
    """What has grown, in words, and the fixture that keeps it; "" where something else does."""

    line: str
    fixture: str = ""
    scope: str = ""


def census(owners: Owners | None = None) -> Census:
    """Count what is alive, without what is ours."""
    reached = Heap(Census, owners).reached
    lengths = {id(thing): len(thing) for thing in reached if _is_container(thing)}
    return Census(_types(reached), lengths, frozenset(map(id, reached)))


def growth_since(before: Census, calls: int, owners: Owners | None = None) -> Iterator[Holder]:
    """What has grown since: containers by their length, types by the number of their objects, the most first."""
    heap = Heap(Census, owners)
    yield from _longer(heap, before, calls)
    more = [
        ((count - before.types.get(kind, 0)) / calls, kind)
        for kind, count in _types(heap.reached).items()
        if kind.__module__ not in _PARTS
    ]
    more.sort(key=lambda item: -item[0])
    for per_call, kind in more[:MOST_TYPES]:
        example = next(
            (thing for thing in heap.reached if type(thing) is kind and id(thing) not in before.identities), None
        )
        if per_call >= LEAST_PER_CALL and example is not None:
            line = f"{per_call:.3g} {type_name(kind)} per call; one is {heap.chain(example)}"
            yield _holder(heap, example, line)


def _types(things: Iterable[Any]) -> dict[type, int]:
    # By hand: a Counter would fill the caches of abstract classes, which then seem to grow.
    types: dict[type, int] = {}
    for thing in things:
        types[type(thing)] = types.get(type(thing), 0) + 1
    return types


def _longer(heap: Heap, before: Census, calls: int) -> Iterator[Holder]:
    more = [
        ((len(thing) - before.lengths[id(thing)]) / calls, thing)
        for thing in heap.reached
        if _is_container(thing) and id(thing) in before.lengths
    ]
    more.sort(key=lambda item: -item[0])
    for per_call, thing in more[:MOST_HOLDERS]:
        if per_call >= LEAST_PER_CALL:
            kind = type_name(type(thing))
            line = f"{heap.chain(thing)}: a {kind} of {len(thing)}, {per_call:.3g} more per call"
            yield _holder(heap, thing, line)


def _holder(heap: Heap, thing: object, line: str) -> Holder:
    """With the fixture that keeps it, if the project made that fixture or several tests share it."""
    owner = heap.owner(thing)
    if owner is None or (owner.scope == "function" and not owner.own):
        return Holder(line)
    return Holder(line, owner.fixture, owner.scope)


def _is_container(thing: Any) -> bool:
    return type(thing) in _CONTAINERS
