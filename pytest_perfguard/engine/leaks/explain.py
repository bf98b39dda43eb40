"""Why it leaks: some more calls with everything traced, and what is left of them. Done only once a leak is known."""

from __future__ import annotations

import io
import socket
import subprocess
from collections import Counter
from collections.abc import Iterator
from typing import Any, Final

from pytest_perfguard.core.originals import gc
from pytest_perfguard.engine.leaks.allocation_sites import TRACED_FRAMES, creation_site, growth_sites
from pytest_perfguard.engine.leaks.budgeted_calls import BudgetedCalls, LeakSteps
from pytest_perfguard.engine.leaks.levels import LevelReader
from pytest_perfguard.engine.leaks.open_resources import OpenResources, new_resources, noun_of
from pytest_perfguard.engine.leaks.reference_graph import type_name
from pytest_perfguard.engine.leaks.retainers import find_retainers, take_census

#: Things of one kind that are shown.
MAX_EXAMPLES: Final = 3
CYCLE_CALLS: Final = 5

Lines = dict[str, list[str]]


def explain(lines: Lines, keepers: dict[str, str], meter: LevelReader, calls: BudgetedCalls, number: int) -> LeakSteps:
    """Fill in the lines of each kind: what `number` calls left behind, where it was made, and what keeps it.

    The keepers are fixtures, each with its scope; "" is anything else.
    """
    import tracemalloc

    meter.trace(TRACED_FRAMES)
    yield from calls.make(1)
    meter.clear_caches()
    before, held = tracemalloc.take_snapshot(), meter.held()
    yield from calls.make(number)
    meter.clear_caches()
    after = tracemalloc.take_snapshot()
    lines |= describe_new(held, meter.held())
    native = "nothing of Python's own grew: look at C extensions and ctypes"
    lines |= {"memory": list(growth_sites(before, after, number)), "native": [native], "mapped": [native]}
    del before, after, held
    meter.trace(0)
    counted = take_census(meter.fixtures())
    yield from calls.make(number)
    meter.clear_caches()
    holders = list(find_retainers(counted, number, meter.fixtures()))
    lines["memory"] += [f"kept by {holder.line}" for holder in holders]
    keepers |= {holder.fixture: holder.scope for holder in holders}


def describe_new(before: OpenResources, after: OpenResources, problem: str = "") -> dict[str, list[str]]:
    """A few of the things of each kind that were not there before, and what ended the calls."""
    lines: dict[str, list[str]] = {}
    for kind, things in new_resources(before, after).items():
        shown = list(things.items())[-MAX_EXAMPLES:]
        lines[kind] = [line for key, thing in shown for line in _describe_resource(kind, key, thing)]
        if len(things) > len(shown):
            lines[kind].append(f"and {len(things) - len(shown)} more {noun_of(kind, 2)}")
        if problem:
            lines[kind].append(f"the check ended early, since a call raised {problem}")
    return lines


def note_cycles(notes: list[str], calls: BudgetedCalls) -> LeakSteps:
    """Note what only the collector frees: found by keeping it from doing so for a few calls."""
    was_enabled, flags = gc.isenabled(), gc.get_debug()
    gc.collect()
    found = len(gc.garbage)
    gc.disable()
    gc.set_debug(gc.DEBUG_SAVEALL)
    try:
        yield from calls.make(CYCLE_CALLS)
        gc.collect()
        types = Counter(type_name(type(thing)) for thing in gc.garbage[found:])
    finally:
        gc.set_debug(flags)
        del gc.garbage[found:]
        if was_enabled:
            gc.enable()
    gc.collect()
    told = ", ".join(f"{count / CYCLE_CALLS:.3g} {name}" for name, count in types.most_common(MAX_EXAMPLES))
    in_cycles = f"in reference cycles, which only the collector frees, per call: {told}"
    notes.append(f"note: {in_cycles if types else 'no reference cycles'}")


def _describe_resource(kind: str, key: Any, thing: Any) -> Iterator[str]:
    """One thing on a line, and where it was made."""
    if kind in ("files", "sockets"):
        descriptor, path = key
        thing = _object_of_descriptor(descriptor)
        yield f"{_socket_address(thing) or path or 'no name'} (descriptor {descriptor})"
    elif kind == "threads":
        yield f"{thing.name}{', a daemon' if thing.daemon else ''} (thread {thing.native_id})"
    elif kind == "native-threads":
        yield f"thread {key}, which Python does not know of"
    elif kind == "children":
        yield _describe_process(key)
        thing = next((child for child in _instances_of(subprocess.Popen) if child.pid == key), None)
    else:
        yield f"{thing!r:.200}"
    if thing is not None:
        yield from (f"    {line}" for line in creation_site(thing))


def _object_of_descriptor(descriptor: int) -> Any:
    """The Python object that holds a descriptor; None where C code holds it, or a bare number."""
    for thing in _instances_of(socket.socket, io.FileIO):
        try:
            if thing.fileno() == descriptor:
                return thing
        except (OSError, ValueError):  # closed
            continue
    return None


def _instances_of(*kinds: type) -> Iterator[Any]:
    return (thing for thing in gc.get_objects() if issubclass(type(thing), kinds))


def _socket_address(thing: Any) -> str:
    """`127.0.0.1:40122 -> 127.0.0.1:5432` of a socket."""
    if not isinstance(thing, socket.socket):
        return ""
    names = []
    for name in (thing.getsockname, thing.getpeername):
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
