"""Traverse the heap from its roots, and describe the chain of references to an object.

The traversal starts at the modules, then at the fixtures and at the frames of all threads. It is breadth-first, so that
the first path to an object is a shortest one, and one traversal serves all objects. On a large heap it takes seconds,
so it runs only for a leak that was found.
"""

from __future__ import annotations

import gc
import sys
from collections import deque
from collections.abc import Iterable, Iterator, Sequence
from dataclasses import dataclass
from types import CellType, FrameType, FunctionType, MemberDescriptorType, ModuleType
from typing import Final, TypeGuard

_PACKAGE: Final = __name__.partition(".")[0]
_SEQUENCES: Final = (list, tuple, deque)


@dataclass(frozen=True)
class FixtureValue:
    """An object that a fixture keeps alive until its teardown."""

    fixture: str
    scope: str
    in_project: bool
    """True if the project defines the fixture, not an installed package."""
    value: object


@dataclass(frozen=True)
class FixtureValues:
    """The values of the fixtures that are set up."""

    values: Sequence[FixtureValue] = ()
    barriers: tuple[type, ...] = ()
    """Types that refer to all fixtures and belong to none. The traversal from modules and fixtures does not enter them.
    """


class ReferenceGraph:
    """All reachable objects, each with the object from which it was first reached.

    Instances of the `skipped` type are left out, with all that only they refer to. The graph refers to every object of
    the process, so drop it soon.
    """

    def __init__(self, skipped: type, fixtures: FixtureValues | None = None) -> None:
        self.objects: list[object] = []
        """The reachable objects, by increasing distance from a root."""
        self._parents: dict[int, object] = {}
        self._skipped = skipped
        self._own_ids = {id(self), id(self.objects), id(self._parents)}
        fixtures = fixtures or FixtureValues()
        self._fixture_values: dict[int, FixtureValue] = {}
        # Modules come first: an object that a module refers to is attributed to it, even if a fixture or frame is nearer.
        self._traverse(list(_modules()), fixtures.barriers)
        self._traverse(self._values_of(fixtures), fixtures.barriers)
        self._traverse(list(_frames()))

    def _values_of(self, fixtures: FixtureValues) -> list[object]:
        """Return the values of fixtures that no module refers to. They count as objects themselves."""
        for fixture in fixtures.values:
            if self._is_new(fixture.value) and gc.is_tracked(fixture.value):
                self._fixture_values[id(fixture.value)] = fixture
        values = [fixture.value for fixture in self._fixture_values.values()]
        self.objects += values
        return values

    def _traverse(self, layer: list[object], barriers: tuple[type, ...] = ()) -> None:
        """Traverse all objects that these roots reach, layer by layer, without entering the `barriers`."""
        self._parents.update((id(root), None) for root in layer)
        while layer:
            following: list[object] = []
            self._own_ids |= {id(layer), id(following)}
            for parent in layer:
                for child in _referents(parent):
                    if self._is_new(child) and not (barriers and _is_instance_of_any(child, barriers)):
                        self._parents[id(child)] = parent
                        following.append(child)
            self.objects += following
            layer = following

    def _is_new(self, obj: object) -> bool:
        known = id(obj) in self._parents or id(obj) in self._own_ids
        return not known and type(obj) is not self._skipped

    def chain(self, obj: object) -> str:
        """Return the shortest chain of references to a reachable object: `app.registry.handlers[17]`."""
        path = self._path(obj)
        fixture = self.fixture_of(obj)
        text = f"the fixture {fixture.fixture}" if fixture is not None else _root_name(path[0])
        for grandparent, parent, child in zip((None, *path), path, path[1:], strict=False):
            text += _link(grandparent, parent, child)
        return text

    def fixture_of(self, obj: object) -> FixtureValue | None:
        """Return the fixture that retains the object; None if a module or a frame does."""
        return self._fixture_values.get(id(self._path(obj)[0]))

    def _path(self, obj: object) -> list[object]:
        """Return the objects from a root to this one."""
        path: list[object] = [obj]
        while (parent := self._parents[id(path[-1])]) is not None:
            path.append(parent)
        path.reverse()
        return path


def _is_instance_of_any(obj: object, types: tuple[type, ...]) -> bool:
    """Return the same as `isinstance`, without resolving lazy proxies or filling the caches of abstract classes."""
    return any(kind in types for kind in type(obj).__mro__)


def type_name(kind: type) -> str:
    """Return `app.cache.Entry`; builtins without their module."""
    return kind.__qualname__ if kind.__module__ == "builtins" else f"{kind.__module__}.{kind.__qualname__}"


def _modules() -> Iterator[ModuleType]:
    for module in list(sys.modules.values()):
        if isinstance(module, ModuleType) and not module.__name__.startswith(_PACKAGE):
            yield module


def _frames() -> Iterator[FrameType]:
    """Yield the frames of all threads and their callers, without perfguard's own."""
    for frame in sys._current_frames().values():
        current: FrameType | None = frame
        while current is not None:
            if not str(current.f_globals.get("__name__")).startswith(_PACKAGE):
                yield current
            current = current.f_back


def _root_name(root: object) -> str:
    if isinstance(root, FrameType):
        return f"{root.f_code.co_name}()"
    return root.__name__ if isinstance(root, ModuleType) else type_name(type(root))


def _referents(obj: object) -> Iterable[object]:
    if type(obj) is FrameType:  # the garbage collector does not enter running frames
        return list(obj.f_locals.values())
    if isinstance(obj, ModuleType):  # `_asyncio` of Python 3.12 exposes dead objects, and loops endlessly afterwards
        return [vars(obj)]
    return gc.get_referents(obj)


def _is_namespace(parent: object, child: object) -> bool:
    """Return whether this dictionary holds the parent's attributes, so that the next link names the attribute."""
    if type(child) is not dict:
        return False
    return isinstance(parent, ModuleType | type) or child is getattr(parent, "__dict__", None)


def _is_closure(parent: object, child: object) -> TypeGuard[FunctionType]:
    return isinstance(parent, FunctionType) and child is parent.__closure__


def _is_sequence(obj: object) -> TypeGuard[Sequence[object]]:
    return type(obj) in _SEQUENCES


def _link(grandparent: object, parent: object, child: object) -> str:
    """Describe how the parent refers to the child; the grandparent decides how the content of a namespace or closure is
    named."""
    if _is_namespace(parent, child) or _is_closure(parent, child) or isinstance(parent, CellType):
        return ""
    if type(parent) is dict:
        key = next((key for key, value in list(parent.items()) if value is child), "a key")
        return f".{key}" if _is_namespace(grandparent, parent) else f"[{key!r:.60}]"
    if _is_closure(grandparent, parent) and isinstance(parent, tuple):
        return f" closure {grandparent.__code__.co_freevars[parent.index(child)]}"
    if _is_sequence(parent):
        return next((f"[{index}]" for index, item in enumerate(parent) if item is child), "[...]")
    name = next((name for name, value in _named_references(parent) if value is child), "")
    return name or f" -> {type_name(type(child))}"


def _named_references(parent: object) -> Iterator[tuple[str, object]]:
    """Yield the named references of the parent: locals of a frame, attributes of an object."""
    if isinstance(parent, FrameType):
        yield from ((f" local {name}", value) for name, value in list(parent.f_locals.items()))
    else:
        attributes = getattr(parent, "__dict__", None)
        if type(attributes) is dict:  # by type, because isinstance() would fill the caches of abstract classes
            yield from ((f".{name}", value) for name, value in list(attributes.items()))
        for kind in type(parent).__mro__:
            for name, member in vars(kind).items():
                if isinstance(member, MemberDescriptorType):  # a slot; reading it runs no user code
                    try:
                        yield f".{name}", member.__get__(parent)
                    except AttributeError:
                        continue
