"""What tests are called: by their node ids as they are when all collection hooks are done, without what passes with the process."""

from __future__ import annotations

import re
from collections import defaultdict
from collections.abc import Iterable
from typing import Final

import pytest

from pytest_perfguard.engine.runner.test_identity import fingerprint

#: The address in the text of an object that has no text of its own.
_ADDRESS: Final = re.compile(r"\bat 0x[0-9a-fA-F]+")
#: Stands for an address.
_SOMEWHERE: Final = "0x..."


def names_of(items: Iterable[pytest.Item]) -> dict[pytest.Item, str]:
    """Return the name of each item: its node id, without the group that xdist adds and without addresses.

    Ids that differ by an address only are distinguished by their place in this order.
    """
    names: dict[pytest.Item, str] = {}
    alike: defaultdict[str, list[str]] = defaultdict(list)
    for item in dict.fromkeys(items):
        nodeid = _without_group(item)
        masked = _without_addresses(nodeid, item)
        if masked != nodeid:
            if nodeid not in alike[masked]:
                alike[masked].append(nodeid)
            place = alike[masked].index(nodeid) + 1
            masked += f"#{place}" if place > 1 else ""
        names[item] = masked
    return names


def fingerprint_of(item: pytest.Item, keywords: dict[str, object]) -> str:
    """Return the fingerprint of a perf test."""
    parameters = dict(parameters_of(item))
    if keywords.get("setup") is not None:
        parameters["setup of the marker perf"] = keywords["setup"]
    function = getattr(item, "function", item.runtest)
    return fingerprint(function, parameters, str(item.config.rootpath))


def parameters_of(item: pytest.Item) -> dict[str, object]:
    """Return the parameters of a test, those of its fixtures included."""
    callspec = getattr(item, "callspec", None)
    return dict(callspec.params) if callspec is not None else {}


def place_of(item: pytest.Item) -> str:
    """Return where a test is defined: its file and its name in there."""
    function = getattr(item, "function", None)
    return f"{item.path}::{getattr(function, '__qualname__', item.name)}"


def _without_group(item: pytest.Item) -> str:
    """The node id without the suffix that a worker of xdist adds for `--dist=loadgroup`."""
    if not hasattr(item.config, "workerinput"):
        return item.nodeid
    groups = [
        str(mark.args[0] if mark.args else mark.kwargs.get("name", "default"))
        for mark in item.iter_markers("xdist_group")
    ]
    for group in ("_".join(sorted(set(groups))), *groups[:1]) if groups else ():
        if item.nodeid.endswith(f"@{group}"):
            return item.nodeid.removesuffix(f"@{group}")
    return item.nodeid


def _without_addresses(nodeid: str, item: pytest.Item) -> str:
    function, bracket, parameters = nodeid.partition("[")
    if not bracket:
        return nodeid
    parameters = _ADDRESS.sub(f"at {_SOMEWHERE}", parameters)
    for value in parameters_of(item).values():
        for address in (hex(id(value)), str(id(value))):
            parameters = parameters.replace(address, _SOMEWHERE)
    return f"{function}[{parameters}"
