"""Represent values as text that is the same in every process.

It leaves out memory addresses, hash seeds, process ids, the time, and temporary folders.
"""

from __future__ import annotations

import datetime
import functools
import os
import re
import sys
import tempfile
import types
from collections import deque
from collections.abc import Collection, Iterable, Iterator
from enum import Enum
from functools import partial
from pathlib import PurePath
from time import perf_counter, time
from typing import Final, TypeGuard, TypeVar

from pytest_perfguard.engine.runner.path_map import is_installed_file

#: Longer containers and texts are data, which a test may generate in each process; only their length counts.
MAX_ITEMS: Final = 32
MAX_TEXT_LENGTH: Final = 256
#: Maximum number of nested values, and maximum depth. Beyond these limits only the type counts.
MAX_VALUES: Final = 300
MAX_DEPTH: Final = 6
#: A number this close to the current time is taken for a time; a larger integer than the maximum never is.
_NOW_SECONDS: Final = 86_400.0
_MAX_NUMBER: Final = 10**20
#: Parts of a text that differ between processes.
_CHANGING_TEXT: Final = re.compile(
    r"0x[0-9a-fA-F]+|[0-9a-fA-F]{8}-[0-9a-fA-F]{4}-[0-9a-fA-F]{4}-[0-9a-fA-F]{4}-[0-9a-fA-F]{12}|\b[0-9a-f]{16,}\b"
)
#: A date or a time, replaced if it is today's.
_TIMESTAMP: Final = re.compile(r"\d{4}-\d\d-\d\d([T ][\d:.]+)?")
#: Types whose text is their value.
_STR_TYPES: Final = {
    "datetime.timedelta", "datetime.timezone", "decimal.Decimal", "fractions.Fraction", "re.Pattern", "builtins.range",
    "builtins.slice", "builtins.complex", "builtins.NoneType", "builtins.bool", "builtins.ellipsis", "builtins.NotImplementedType",
    "operator.itemgetter", "operator.attrgetter", "operator.methodcaller",
}  # fmt: skip
_DATE_TYPES: Final = {"datetime.date", "datetime.datetime"}
#: Types whose objects differ in each process.
_RANDOM_TYPES: Final = {"uuid.UUID", "random.Random", "random.SystemRandom", "time.struct_time"}
_PLAIN_TYPES: Final = (int, float, str, bytes, bool, tuple)
_CONTAINERS: Final[tuple[type[Collection[object]], ...]] = (list, tuple, set, frozenset, dict, deque)
_BUILTIN_CALLABLES: Final = (
    types.BuiltinFunctionType, types.MethodWrapperType, types.MethodDescriptorType, types.WrapperDescriptorType,
)  # fmt: skip


_T = TypeVar("_T")


class StableRepr:
    """Represents values as text without running their code: no `repr`, no computed attribute."""

    def __init__(self, root: str) -> None:
        folders = {tempfile.gettempdir(), os.path.realpath(tempfile.gettempdir())}
        roots = {root, os.path.realpath(root)} if len(root) > 1 else set()
        self._folders = re.compile("|".join(rf"{re.escape(folder)}[^\s'\"]*" for folder in sorted(folders)))
        self._roots = sorted(roots, key=len, reverse=True)
        self._left = MAX_VALUES
        self._above: list[int] = []

    def kind(self, value: object) -> str:
        """Return the part that stays the same in another revision of the library: types, and the names of functions."""
        if isinstance(value, types.FunctionType | types.MethodType | type | partial):
            return self.value(value)
        return _type_name(type(value))

    def value(self, value: object) -> str:
        """Return the representation of the whole value."""
        self._left, self._above = MAX_VALUES, []
        return self._text(value)

    def _text(self, value: object) -> str:
        name = _type_name(type(value))
        self._left -= 1
        if name in _RANDOM_TYPES or self._left < 0 or len(self._above) >= MAX_DEPTH or id(value) in self._above:
            return name
        self._above.append(id(value))
        try:
            return f"{name}({self._content(value, name)})"
        finally:
            self._above.pop()

    def _content(self, value: object, name: str) -> str:
        if name in _STR_TYPES:
            return str(value)
        if name in _DATE_TYPES and _is_a(value, datetime.date):
            return "now" if abs(_date(value) - datetime.date.today()).days <= 1 else str(value)
        if _is_a(value, Enum):
            return str(object.__getattribute__(value, "_name_"))
        if _is_a(value, int):
            return "now" if _is_process_specific(int(value)) else int.__repr__(value)
        if _is_a(value, float):
            return "now" if _is_process_specific(float(value)) else float.__repr__(value)
        if _is_a(value, str):
            return self._stable(str.__str__(value))
        if _is_a(value, PurePath):
            return self._stable(os.fspath(value))
        if _is_a(value, bytes) or _is_a(value, bytearray):
            return repr(bytes(value)) if len(value) <= MAX_ITEMS else str(len(value))
        if _is_a(value, type):
            return _type_name(value)
        if type(value) is types.ModuleType:
            return str(value.__name__)
        return self._compound(value)

    def _compound(self, value: object) -> str:
        kind = type(value)
        if _is_a(value, types.FunctionType):
            return self._function(value)
        if _is_a(value, types.MethodType):
            return self._joined((value.__func__, value.__self__))
        if kind in _BUILTIN_CALLABLES:
            return str(getattr(value, "__qualname__", ""))
        if _is_a(value, partial):
            return self._joined((value.func, value.args, value.keywords))
        if kind.__module__.partition(".")[0] == "numpy":
            return f"{getattr(value, 'shape', '')}{getattr(value, 'dtype', '')}"
        state = dict(_attributes(value))
        if _is_library_module(kind.__module__):  # a library's counters, tokens and caches do not count
            state = {name: held for name, held in state.items() if not name.startswith("_") or name == "__wrapped__"}
        return self._container(value) + self._pairs(state.items())

    def _container(self, value: object) -> str:
        """Represent the items of a container, read by the methods of the built-in type, which a subclass may override."""
        if not _is_container(value):
            return ""
        base = next(base for base in _CONTAINERS if issubclass(type(value), base))
        if base.__len__(value) > MAX_ITEMS:
            return f"{base.__len__(value)} of {sorted({_type_name(type(item)) for item in base.__iter__(value)})}"
        if _is_a(value, dict):
            return self._pairs(list(dict.items(value)))
        texts = map(self._text, base.__iter__(value))
        return "(" + ",".join(sorted(texts) if base in (set, frozenset) else texts) + ")"

    def _function(self, function: types.FunctionType) -> str:
        where = f"{function.__module__}.{function.__qualname__}"
        cells = [cell.cell_contents for cell in function.__closure__ or () if _is_assigned(cell)]
        if hasattr(function, "__wrapped__"):  # other values belong to the decorator
            plain = [value for value in cells if type(value) in _PLAIN_TYPES]
            return f"{where}{self._joined((function.__wrapped__, *plain))}"
        if "<" not in function.__qualname__:  # identified by its name and the values it closes over
            return f"{where}{self._joined(cells)}"
        code = self._joined(_code(function.__code__))
        return f"{where}{code}{self._joined((cells, function.__defaults__, function.__kwdefaults__))}"

    def _pairs(self, pairs: Iterable[tuple[object, object]]) -> str:
        return ",".join(sorted(f"{self._text(key)}:{self._text(value)}" for key, value in pairs))

    def _joined(self, values: Iterable[object]) -> str:
        return "(" + ",".join(map(self._text, values)) + ")"

    def _stable(self, text: str) -> str:
        if len(text) > MAX_TEXT_LENGTH:
            return str(len(text))
        for root in self._roots:
            text = text.replace(root, "ROOT")
        text = _TIMESTAMP.sub("?", text) if str(datetime.date.today()) in text else text
        return _CHANGING_TEXT.sub("?", self._folders.sub("?", text))


def _is_a(value: object, kind: type[_T]) -> TypeGuard[_T]:
    """Return the same as `isinstance`, without reading `__class__`, which a proxy computes."""
    return issubclass(type(value), kind)


def _is_container(value: object) -> TypeGuard[Collection[object]]:
    return issubclass(type(value), _CONTAINERS)


def _type_name(kind: type) -> str:
    return f"{kind.__module__}.{kind.__qualname__}"


def _is_process_specific(number: float) -> bool:
    """Return whether this number depends on the process or on the current time."""
    if isinstance(number, int) and (number == os.getpid() or abs(number) > _MAX_NUMBER):
        return number == os.getpid()
    if abs(number - time()) < _NOW_SECONDS or abs(number - time() * 1e9) < _NOW_SECONDS * 1e9:
        return True
    return (
        not isinstance(number, int)
        and not number.is_integer()
        and 0 <= perf_counter() - number < _NOW_SECONDS
        and number > 1.0
    )


@functools.cache
def _is_library_module(module: str) -> bool:
    """Return whether this module belongs to the standard library or to an installed package, not to the project."""
    if module.partition(".")[0] in sys.stdlib_module_names:
        return True
    return is_installed_file(str(getattr(sys.modules.get(module), "__file__", None) or ""))


def _date(value: datetime.date) -> datetime.date:
    return value.date() if isinstance(value, datetime.datetime) else value


def _is_assigned(cell: types.CellType) -> bool:
    try:
        return cell.cell_contents is not cell
    except ValueError:  # its variable is not assigned yet
        return False


def _code(code: types.CodeType) -> Iterator[object]:
    """Yield what a nameless function does: the names that it uses, and its constants."""
    yield code.co_names
    for constant in filter(None, code.co_consts):
        yield tuple(_code(constant)) if isinstance(constant, types.CodeType) else constant


def _attributes(value: object) -> Iterator[tuple[str, object]]:
    """Yield the attributes that an object stores."""
    for kind in type(value).__mro__:
        slots = kind.__dict__.get("__slots__", ())
        for name in (slots,) if isinstance(slots, str) else tuple(slots):
            descriptor = kind.__dict__.get(name)
            if isinstance(descriptor, types.MemberDescriptorType):
                try:
                    yield name, descriptor.__get__(value, kind)
                except AttributeError:  # not assigned
                    continue
    try:
        attributes = object.__getattribute__(value, "__dict__")
    except AttributeError:
        return
    if isinstance(attributes, dict):
        yield from attributes.items()
