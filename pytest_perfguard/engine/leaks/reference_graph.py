"""The heap walked forwards from what is alive by itself, and how one thing refers to the next, in words.

The walk starts at the modules, then at the frames of all threads, and is breadth first: the first way to an object is
then a shortest one, and one walk serves all objects. It takes seconds on a large heap: only for a leak that is known.
"""

from __future__ import annotations

import gc
import sys
from collections import deque
from collections.abc import Iterable, Iterator, Sequence
from dataclasses import dataclass
from types import CellType, FrameType, FunctionType, MemberDescriptorType, ModuleType
from typing import Any, Final

_PACKAGE: Final = __name__.partition(".")[0]
_SEQUENCES: Final = (list, tuple, deque)


@dataclass(frozen=True)
class FixtureValue:
    """What a fixture keeps alive until its teardown."""

    fixture: str
    scope: str
    own: bool
    """Is it a fixture of the project, not one that is installed?"""
    value: object


@dataclass(frozen=True)
class FixtureValues:
    """The fixtures that are set up."""

    values: Sequence[FixtureValue] = ()
    apart: tuple[type, ...] = ()
    """Types of what holds all fixtures and is no part of any: not passed on the way from a module or a fixture."""


class ReferenceGraph:
    """Everything that could be reached, each thing with what it was first reached from.

    Instances of the `skipped` type are passed over, with what only they hold. Holds every object of the process while
    it lives: drop it soon.
    """

    def __init__(self, skipped: type, owners: FixtureValues | None = None) -> None:
        self.objects: list[Any] = []
        """In the order of their distance."""
        self._parents: dict[int, Any] = {}
        self._skipped = skipped
        self._own_ids = {id(self), id(self.objects), id(self._parents)}
        owners = owners or FixtureValues()
        self._owners: dict[int, FixtureValue] = {}
        # What a module holds is said of it, though a fixture or a local variable of a frame may be nearer.
        self._walk(list(_modules()), owners.apart)
        self._walk(self._owned(owners), owners.apart)
        self._walk(list(_frames()))

    def _owned(self, owners: FixtureValues) -> list[Any]:
        """The values of fixtures that no module holds; these are things themselves."""
        for owner in owners.values:
            if self._is_new(owner.value) and gc.is_tracked(owner.value):
                self._owners[id(owner.value)] = owner
        values = [owner.value for owner in self._owners.values()]
        self.objects += values
        return values

    def _walk(self, layer: list[Any], apart: tuple[type, ...] = ()) -> None:
        """Reach all that can be reached from these roots, one layer after the other, not through what is `apart`."""
        self._parents.update((id(root), None) for root in layer)
        while layer:
            following: list[Any] = []
            self._own_ids |= {id(layer), id(following)}
            for parent in layer:
                for child in _referents(parent):
                    if self._is_new(child) and not (apart and _is_instance_of_any(child, apart)):
                        self._parents[id(child)] = parent
                        following.append(child)
            self.objects += following
            layer = following

    def _is_new(self, thing: Any) -> bool:
        known = id(thing) in self._parents or id(thing) in self._own_ids
        return not known and type(thing) is not self._skipped

    def chain(self, thing: object) -> str:
        """`app.registry.handlers[17]`: the shortest chain of references to something that was reached."""
        path = self._path(thing)
        owner_of_all = self.fixture_of(thing)
        text = f"the fixture {owner_of_all.fixture}" if owner_of_all is not None else _root_name(path[0])
        for owner, parent, child in zip((None, *path), path, path[1:], strict=False):
            text += _link(owner, parent, child)
        return text

    def fixture_of(self, thing: object) -> FixtureValue | None:
        """The fixture that keeps it; None where a module or a frame does."""
        return self._owners.get(id(self._path(thing)[0]))

    def _path(self, thing: object) -> list[Any]:
        """From a root to the thing."""
        path: list[Any] = [thing]
        while (parent := self._parents[id(path[-1])]) is not None:
            path.append(parent)
        path.reverse()
        return path


def _is_instance_of_any(thing: object, types: tuple[type, ...]) -> bool:
    """As `isinstance`, without waking up lazy proxies or filling the caches of abstract classes."""
    return any(kind in types for kind in type(thing).__mro__)


def type_name(kind: type) -> str:
    """`app.cache.Entry`; builtins without their module."""
    return kind.__qualname__ if kind.__module__ == "builtins" else f"{kind.__module__}.{kind.__qualname__}"


def _modules() -> Iterator[ModuleType]:
    for module in list(sys.modules.values()):
        if isinstance(module, ModuleType) and not module.__name__.startswith(_PACKAGE):
            yield module


def _frames() -> Iterator[FrameType]:
    """The frames of all threads, with those that called them, without our own."""
    for frame in sys._current_frames().values():
        current: FrameType | None = frame
        while current is not None:
            if not str(current.f_globals.get("__name__")).startswith(_PACKAGE):
                yield current
            current = current.f_back


def _root_name(root: Any) -> str:
    return f"{root.f_code.co_name}()" if isinstance(root, FrameType) else str(root.__name__)


def _referents(thing: Any) -> Iterable[Any]:
    if type(thing) is FrameType:  # the collector does not look into those that are running
        return list(thing.f_locals.values())
    if isinstance(thing, ModuleType):  # _asyncio of Python 3.12 shows dead objects of its own, and loops ever after
        return [vars(thing)]
    return gc.get_referents(thing)


def _is_namespace(parent: Any, child: Any) -> bool:
    """Does this dictionary hold the parent's attributes, so that the next link says the name?"""
    if type(child) is not dict:
        return False
    return isinstance(parent, ModuleType | type) or child is getattr(parent, "__dict__", None)


def _is_closure(parent: Any, child: Any) -> bool:
    return isinstance(parent, FunctionType) and child is parent.__closure__


def _link(owner: Any, parent: Any, child: Any) -> str:
    """How the parent refers to the child; the owner refers to the parent, and gives what it holds its name."""
    if _is_namespace(parent, child) or _is_closure(parent, child) or isinstance(parent, CellType):
        return ""
    if type(parent) is dict:
        key = next((key for key, value in list(parent.items()) if value is child), "a key")
        return f".{key}" if _is_namespace(owner, parent) else f"[{key!r:.60}]"
    if _is_closure(owner, parent):
        return f" closure {owner.__code__.co_freevars[parent.index(child)]}"
    if type(parent) in _SEQUENCES:
        return next((f"[{index}]" for index, item in enumerate(parent) if item is child), "[...]")
    name = next((name for name, value in _named_references(parent) if value is child), "")
    return name or f" -> {type_name(type(child))}"


def _named_references(parent: Any) -> Iterator[tuple[str, object]]:
    """What has a name in the parent: locals of a frame, attributes of an object."""
    if isinstance(parent, FrameType):
        yield from ((f" local {name}", value) for name, value in list(parent.f_locals.items()))
    else:
        attributes = getattr(parent, "__dict__", None)
        if type(attributes) is dict:  # by type: isinstance() would fill the caches of abstract classes
            yield from ((f".{name}", value) for name, value in list(attributes.items()))
        for kind in type(parent).__mro__:
            for name, member in vars(kind).items():
                if isinstance(member, MemberDescriptorType):  # a slot: reading it runs no code of the user's
                    try:
                        yield f".{name}", member.__get__(parent)
                    except AttributeError:
                        continue
