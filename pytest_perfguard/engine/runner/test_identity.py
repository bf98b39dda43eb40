"""Which of its tests a measuring process takes for which test of the run: the run's own meaning of each id is the truth."""

from __future__ import annotations

import functools
import hashlib
import inspect
from collections.abc import Callable, Mapping, Sequence
from typing import Final, NamedTuple

from pytest_perfguard.engine.runner.stable_repr import StableRepr

#: Ids of the same function that a message names.
MAX_NAMED_IDS: Final = 3


class IdentifiedTests(NamedTuple):
    """What a process has made of the tests that are wanted of it."""

    found: dict[str, str]
    """By the run's name of a test: the process's own name of it."""
    mismatches: dict[str, str]
    """Why the test of this name is not the run's."""
    other_ids: dict[str, str]
    """What ids the function of a test has here that is not to be had."""


def identify_tests(wanted: Mapping[str, str], own: Mapping[str, str], *, runs_base: bool = False) -> IdentifiedTests:
    """Find the tests of the run among those that this process has collected. Pure.

    Both map names to fingerprints; a wanted test without one is found by its name. A test that has another name here,
    and the source and the parameters of the wanted one, is that one. `runs_base`: this process runs another revision, so
    that parameters which its library made may differ in their values.
    """
    found = {name: name for name, wanted_one in wanted.items() if name in own and _is_same(wanted_one, own[name])}
    taken = set(found)
    mismatches: dict[str, str] = {}
    other_ids: dict[str, str] = {}
    for name in wanted:
        if name in found:
            continue
        other = next((other for other in _siblings(name, own) if other not in taken and own[other] == wanted[name]), "")
        if other:
            found[name] = other
            taken.add(other)
        elif name not in own:
            other_ids[name] = _explain_other_ids(name, own, runs_base=runs_base)
        elif not runs_base or difference(own[name], wanted[name], by_kind=True):
            mismatches[name] = _explain_difference(difference(own[name], wanted[name]))
        else:
            found[name] = name
    return IdentifiedTests(found, mismatches, {name: ids for name, ids in other_ids.items() if ids})


def function_of(name: str) -> str:
    """Return the part of a test's name that its parametrizations share."""
    return name.partition("[")[0]


def _is_same(wanted: str, own: str) -> bool:
    return not wanted or wanted == own


def _siblings(name: str, own: Mapping[str, str]) -> Sequence[str]:
    return [other for other in own if function_of(other) == function_of(name)]


def _explain_difference(differing: str) -> str:
    if differing == "source":
        return (
            "this test has another source in the measuring process than in the run: its file was changed in between, or "
            "another file was collected; run again"
        )
    return (
        f"this test is another one in the measuring process than in the run ({differing} differs): each pytest process gives "
        "its id to something else, as parameters from a set, at random or from the time do; sort or seed them, or set "
        "PYTHONHASHSEED"
    )


def _explain_other_ids(name: str, own: Mapping[str, str], *, runs_base: bool) -> str:
    """What to say of an id that this process does not have, where the function is there with others."""
    others = [other.removeprefix(function_of(name)) for other in _siblings(name, own)]
    if not others:
        return ""
    shown = ", ".join(others[:MAX_NAMED_IDS]) + (
        f" and {len(others) - MAX_NAMED_IDS} more" if others[MAX_NAMED_IDS:] else ""
    )
    if runs_base:
        return f"there this test has the parameters {shown}"
    return (
        f"the measuring process has no {name.removeprefix(function_of(name))} of this test, but {shown}: its ids differ from "
        "process to process; give it ids that do not (ids=...), or set PYTHONHASHSEED where they come out of a set"
    )


def fingerprint(function: Callable[..., object], parameters: Mapping[str, object], root: str = "") -> str:
    """Return the fingerprint of a test; `root` is the folder of the project, which may lie elsewhere in another process.

    The text has one part for the function's source, one for the function, and one for each parameter.
    """
    describer = _describer(root)
    parts = {"source": (_source(function), ""), "function": (describer.kind(function), describer.value(function))}
    parts |= {
        f"parameter {name}": (describer.kind(value), describer.value(value)) for name, value in parameters.items()
    }
    return ";".join(f"{name}={_digest(kind)}:{_digest(value)}" for name, (kind, value) in sorted(parts.items()))


def difference(one: str, other: str, *, by_kind: bool = False) -> str:
    """Return the first part by which two fingerprints differ, such as "parameter job"; "" where they are equal.

    `by_kind`: a parameter may have another value of the same type, as where another revision of the library made it.
    """
    ones, others = _parts(one), _parts(other)
    for name in sorted({*ones, *others}, key=lambda name: (name != "source", name)):
        found, wanted = ones.get(name), others.get(name)
        if found is None or wanted is None:
            return name
        if found[0] != wanted[0] or (found[1] != wanted[1] and not by_kind):
            return name
    return ""


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
    except (OSError, TypeError, ValueError, SyntaxError):  # none, or not a function, or made by a loop of wrappers
        return ""
