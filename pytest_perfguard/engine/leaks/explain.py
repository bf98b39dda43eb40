"""Explain a leak that was found: some more calls with full tracing, and what they leave behind."""

from __future__ import annotations

import io
import socket
import subprocess
import threading
from collections import Counter
from collections.abc import Hashable, Iterator
from typing import Final, TypeVar

from pytest_perfguard.core.originals import gc
from pytest_perfguard.engine.leaks.allocation_sites import TRACED_FRAMES, creation_site, growth_sites
from pytest_perfguard.engine.leaks.budgeted_calls import BudgetedCalls
from pytest_perfguard.engine.leaks.levels import LevelReader
from pytest_perfguard.engine.leaks.open_resources import RESOURCE_NOUNS, OpenResources, new_resources, noun_of
from pytest_perfguard.engine.leaks.reference_graph import type_name
from pytest_perfguard.engine.leaks.retainers import find_retainers, take_census
from pytest_perfguard.engine.measure.executor import CallSteps

#: Maximum number of examples per kind.
MAX_EXAMPLES: Final = 3
CYCLE_CALLS: Final = 5

_T = TypeVar("_T")

Lines = dict[str, list[str]]


def explain(
    lines: Lines, retaining_fixtures: dict[str, str], reader: LevelReader, calls: BudgetedCalls, number: int
) -> CallSteps:
    """Fill in the lines of each kind: what `number` calls left behind, where it was created, and what retains it.

    `retaining_fixtures` receives the name and the scope of each fixture that retains something; "" stands for anything
    else.
    """
    import tracemalloc

    reader.trace(TRACED_FRAMES)
    yield from calls.make(1)
    reader.settle()
    before, held = tracemalloc.take_snapshot(), reader.held()
    yield from calls.make(number)
    reader.settle()
    after = tracemalloc.take_snapshot()
    lines |= describe_new(held, reader.held())
    native = "no memory of Python grew: examine C extensions and ctypes"
    lines |= {"memory": list(growth_sites(before, after, number)), "native": [native], "mapped": [native]}
    del before, after, held
    reader.trace(0)
    counted = take_census(reader.fixtures())
    yield from calls.make(number)
    reader.settle()
    retainers = list(find_retainers(counted, number, reader.fixtures()))
    lines["memory"] += [f"kept by {retainer.line}" for retainer in retainers]
    if not lines["memory"]:
        lines["memory"] = [
            f"nothing new in {number} more calls: a buffer that is enlarged seldom, such as an io.BytesIO"
        ]
    retaining_fixtures |= {retainer.fixture: retainer.scope for retainer in retainers}


def describe_new(before: OpenResources, after: OpenResources, problem: str | None = None) -> dict[str, list[str]]:
    """Describe a few of the new resources of each kind, and the exception that ended the calls, if any."""
    lines: dict[str, list[str]] = {}
    for kind, resources in new_resources(before, after).items():
        if kind not in RESOURCE_NOUNS and not any(obj is not None for obj in resources.values()):
            lines[kind] = [f"from {len(before.get(kind, {}))} to {len(after[kind])}"]  # a user's counter gives a number
            continue
        shown = list(resources.items())[-MAX_EXAMPLES:]
        lines[kind] = [line for key, obj in shown for line in _describe_resource(kind, key, obj)]
        if len(resources) > len(shown):
            lines[kind].append(f"and {len(resources) - len(shown)} more {noun_of(kind, 2)}")
        if problem:
            lines[kind].append(f"the check ended early, because a call raised {problem}")
    return lines


def note_cycles(notes: list[str], calls: BudgetedCalls) -> CallSteps:
    """Note the objects in reference cycles that a few calls create, found by `gc.DEBUG_SAVEALL`."""
    was_enabled, flags = gc.isenabled(), gc.get_debug()
    gc.collect()
    found = len(gc.garbage)
    gc.disable()
    gc.set_debug(gc.DEBUG_SAVEALL)
    try:
        yield from calls.make(CYCLE_CALLS)
        gc.collect()
        types = Counter(type_name(type(obj)) for obj in gc.garbage[found:])
    finally:
        gc.set_debug(flags)
        del gc.garbage[found:]
        if was_enabled:
            gc.enable()
    gc.collect()
    objects = ", ".join(f"{count / CYCLE_CALLS:.3g} {name}" for name, count in types.most_common(MAX_EXAMPLES))
    in_cycles = f"in reference cycles, which only the collector frees, per call: {objects}"
    notes.append(f"note: {in_cycles if types else 'no reference cycles'}")


def _describe_resource(kind: str, key: Hashable, obj: object) -> Iterator[str]:
    """Yield one line for a resource, and the lines where it was created."""
    if kind in ("files", "sockets") and isinstance(key, tuple):
        descriptor, path = key
        obj = _object_of_descriptor(descriptor)
        yield f"{_socket_address(obj) or path or 'no name'} (descriptor {descriptor})"
    elif kind == "threads" and isinstance(obj, threading.Thread):
        yield f"{obj.name}{', a daemon' if obj.daemon else ''} (thread {obj.native_id})"
    elif kind == "native-threads":
        yield f"thread {key}, which Python does not know of"
    elif kind == "children" and isinstance(key, int):
        yield _describe_process(key)
        obj = next((child for child in _instances_of(subprocess.Popen) if child.pid == key), None)
    else:
        yield f"{obj!r:.200}"
    if obj is not None:
        yield from (f"    {line}" for line in creation_site(obj))


def _object_of_descriptor(descriptor: int) -> object:
    """Return the Python object that holds a descriptor; None if C code or a bare number holds it."""
    holders: Iterator[socket.socket | io.FileIO] = _instances_of(socket.socket, io.FileIO)
    for obj in holders:
        try:
            if obj.fileno() == descriptor:
                return obj
        except (OSError, ValueError):  # closed
            continue
    return None


def _instances_of(*kinds: type[_T]) -> Iterator[_T]:
    return (obj for obj in gc.get_objects() if issubclass(type(obj), kinds))


def _socket_address(obj: object) -> str:
    """Return `127.0.0.1:40122 -> 127.0.0.1:5432` for a socket."""
    if not isinstance(obj, socket.socket):
        return ""
    names = []
    for name in (obj.getsockname, obj.getpeername):
        try:
            names.append(name())
        except OSError:
            continue
    return " -> ".join(":".join(map(str, name[:2])) if isinstance(name, tuple) else repr(name) for name in names)


def _describe_process(number: int) -> str:
    import psutil

    try:
        process = psutil.Process(number)
        command = " ".join(process.cmdline())[:150] or process.name()
        return f"{command} (process {process.pid}, {process.status()})"
    except psutil.Error:
        return f"process {number}"
