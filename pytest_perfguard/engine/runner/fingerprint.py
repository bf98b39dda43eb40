"""A fingerprint of a test: its source and its parameters, the same in every process, whatever the test's id is.

Two processes may mean different tests by one id: parameters that come out of a set, or that are drawn at random, are numbered
in each process anew.
"""

from __future__ import annotations

import functools
import hashlib
import inspect
from collections.abc import Callable, Mapping

from pytest_perfguard.engine.runner.stable_repr import StableRepr


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
