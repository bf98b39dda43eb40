"""Match tests between two processes by fingerprints of their source and parameters.

Two processes may give one id to different tests, because parameters from a set, or drawn at random, are numbered anew
in each process. The meaning of an id in the run is decisive.
"""

from __future__ import annotations

import functools
import hashlib
import inspect
from collections.abc import Callable, Mapping, Sequence
from typing import Final, NamedTuple

from pytest_perfguard.engine.runner.stable_repr import StableRepr

#: Maximum number of other ids that a message names.
MAX_NAMED_IDS: Final = 3


class IdentifiedTests(NamedTuple):
    """The tests of the run, matched with those that a process has collected."""

    found: dict[str, str]
    """The run's name of a test -> the process's own name of it."""
    mismatches: dict[str, str]
    """By name, the reason why the process's test of this name differs from the run's."""
    other_ids: dict[str, str]
    """By name of a missing test: a message with the ids under which its function was collected."""


def identify_tests(wanted: Mapping[str, str], own: Mapping[str, str], *, runs_base: bool = False) -> IdentifiedTests:
    """Find the tests of the run among those that this process has collected. Pure.

    Both mappings hold fingerprints by name. A wanted test without a fingerprint is found by its name. A test of another
    name with the fingerprint of the wanted one is taken for it. With `runs_base` the process runs another revision, so
    parameters that its library created may have other values.
    """
    found = {name: name for name, wanted_one in wanted.items() if name in own and _is_same(wanted_one, own[name])}
    taken = set(found)
    mismatches: dict[str, str] = {}
    other_ids: dict[str, str] = {}
    for name in wanted:
        if name in found:
            continue
        siblings = (other for other in _siblings(name, own) if other not in taken and own[other] == wanted[name])
        other = next(siblings, None)
        if other is not None:
            found[name] = other
            taken.add(other)
        elif name not in own:
            if (message := _explain_other_ids(name, own, runs_base=runs_base)) is not None:
                other_ids[name] = message
        elif not runs_base or difference(own[name], wanted[name], by_kind=True):
            mismatches[name] = _explain_difference(difference(own[name], wanted[name]))
        else:
            found[name] = name
    return IdentifiedTests(found, mismatches, other_ids)


def function_of(name: str) -> str:
    """Return the part of a test's name that its parametrizations share."""
    return name.partition("[")[0]


def _is_same(wanted: str, own: str) -> bool:
    return not wanted or wanted == own


def _siblings(name: str, own: Mapping[str, str]) -> Sequence[str]:
    return [other for other in own if function_of(other) == function_of(name)]


def _explain_difference(part: str | None) -> str:
    if part == "source":
        return (
            "this test has another source in the measuring process than in the run: its file was changed in the meantime, "
            "or another file was collected; run again"
        )
    return (
        f"this test is another one in the measuring process than in the run ({part} differs): its id depends on the "
        "process, as with parameters from a set, at random or from the time; sort or seed them, or set PYTHONHASHSEED"
    )


def _explain_other_ids(name: str, own: Mapping[str, str], *, runs_base: bool) -> str | None:
    """Return the message for an id that this process does not have although it has the function; None if it has neither."""
    others = [other.removeprefix(function_of(name)) for other in _siblings(name, own)]
    if not others:
        return None
    shown = ", ".join(others[:MAX_NAMED_IDS]) + (
        f" and {len(others) - MAX_NAMED_IDS} more" if others[MAX_NAMED_IDS:] else ""
    )
    if runs_base:
        return f"there this test has the parameters {shown}"
    return (
        f"the measuring process has no {name.removeprefix(function_of(name))} of this test, but {shown}: its ids differ "
        "between processes; give it stable ids (ids=...), or set PYTHONHASHSEED if they come from a set"
    )


def fingerprint(function: Callable[..., object], parameters: Mapping[str, object], root: str = "") -> str:
    """Return the fingerprint of a test. `root` is the project folder, whose path may differ between processes.

    It consists of one part for the source of the function, one for the function, and one for each parameter.
    """
    describer = _describer(root)
    parts = {"source": (_source(function), ""), "function": (describer.kind(function), describer.value(function))}
    parts |= {
        f"parameter {name}": (describer.kind(value), describer.value(value)) for name, value in parameters.items()
    }
    return ";".join(f"{name}={_digest(kind)}:{_digest(value)}" for name, (kind, value) in sorted(parts.items()))


def difference(one: str, other: str, *, by_kind: bool = False) -> str | None:
    """Return the first part in which two fingerprints differ, such as "parameter job"; None if they are equal.

    With `by_kind`, values of parameters may differ if their types are equal, as for objects of another revision's
    library.
    """
    ones, others = _parts(one), _parts(other)
    for name in sorted({*ones, *others}, key=lambda name: (name != "source", name)):
        found, wanted = ones.get(name), others.get(name)
        if found is None or wanted is None:
            return name
        if found[0] != wanted[0] or (found[1] != wanted[1] and not by_kind):
            return name
    return None


def _parts(text: str) -> dict[str, tuple[str, str]]:
    found = {}
    for part in filter(None, text.split(";")):
        name, _, digests = part.partition("=")
        kind, _, value = digests.partition(":")
        found[name] = kind, value
    return found


def _digest(text: str) -> str:
    return hashlib.sha256(text.encode("utf-8", "surrogatepass")).hexdigest()[:12]


_describer = functools.lru_cache(maxsize=4)(StableRepr)


@functools.lru_cache(maxsize=256)
def _source(function: Callable[..., object]) -> str:
    try:
        return inspect.getsource(inspect.unwrap(function))
    except (OSError, TypeError, ValueError, SyntaxError):  # no source, not a function, or a cycle of wrappers
        return ""
