"""Find the perf tests of a run and name them, after all collection hooks, which may mark, replace, rename or drop items."""

from __future__ import annotations

import re
from collections import defaultdict
from collections.abc import Iterable, Mapping, Sequence
from typing import Final, NamedTuple

import pytest

from pytest_perfguard.engine.runner.protocol import Hello
from pytest_perfguard.engine.runner.test_identity import IdentifiedTests, fingerprint, function_of, identify_tests
from pytest_perfguard.plugin.options import marker_keywords
from pytest_perfguard.plugin.output import usage_error

#: An address in the `repr` of an object.
_ADDRESS: Final = re.compile(r"\bat 0x[0-9a-fA-F]+")
_MASKED_ADDRESS: Final = "0x..."


class PerfTest(NamedTuple):
    """A perf test before it runs."""

    nodeid: str
    keywords: dict[str, object]
    fingerprint: str


class PerfTests(NamedTuple):
    """The perf tests of a run."""

    tests: dict[pytest.Item, PerfTest]
    found: list[str]
    """Node ids of all perf tests, including those that hooks left out."""
    deselected: bool
    """True if hooks left out any perf test."""
    unmeasurable: list[str]
    """Node ids of marked items that cannot be called repeatedly; they stay ordinary tests."""


def find_perf_tests(items: Sequence[pytest.Item], marked_before: Mapping[pytest.Item, bool]) -> PerfTests:
    """Find the perf tests among the items.

    `marked_before` maps each item that existed before the collection hooks to whether it was a perf test then.
    """
    names = names_of([*marked_before, *items])
    marked = {item: keywords for item in dict.fromkeys(items) if (keywords := keywords_of(item)) is not None}
    unmeasurable = [names[item] for item in marked if not is_measurable(item)]
    marked = {item: keywords for item, keywords in marked.items() if is_measurable(item)}
    tests = {item: PerfTest(names[item], keywords, fingerprint_of(item, keywords)) for item, keywords in marked.items()}
    kept, perf = {names[item] for item in items}, {test.nodeid for test in tests.values()}
    gone = {item: was for item, was in marked_before.items() if names[item] not in kept}
    left_out = {
        names[item] for item, was in gone.items() if is_measurable(item) and (was or keywords_of(item) is not None)
    }
    found = perf | left_out
    if any(not marked_before.get(item, False) for item in marked):
        # Hooks mark tests in this project, so any test that was left out before that may have been a perf test.
        found |= {names[item] for item in gone}
    return PerfTests(
        tests, [name for name in dict.fromkeys(names.values()) if name in found], bool(left_out), unmeasurable
    )


def is_measurable(item: pytest.Item) -> bool:
    """Return whether the item has a function that can be called repeatedly, unlike a doctest or an item made from a file."""
    return isinstance(item, pytest.Function)


def check_distinct(tests: Mapping[pytest.Item, PerfTest]) -> None:
    """Refuse two tests with the same node id, because results are stored by node id.

    Raises
    ------
    pytest.UsageError
        naming the id and both places.
    """
    same_id: defaultdict[str, list[pytest.Item]] = defaultdict(list)
    for item, test in tests.items():
        same_id[test.nodeid].append(item)
    for nodeid, items in same_id.items():
        first, *others = items
        for other in others:
            if (other.path, tests[other].fingerprint) == (first.path, tests[first].fingerprint):
                continue  # one test, collected twice
            places = " and ".join(dict.fromkeys([definition_of(first), definition_of(other)]))
            raise usage_error(
                f"two perf tests have the node id {nodeid}, so their results cannot be distinguished: {places}; give them "
                "different names, run them one at a time, or set --rootdir to a folder that contains both files"
            )


def find_tests(hello: Hello, items: Iterable[pytest.Item]) -> tuple[dict[str, pytest.Item], IdentifiedTests]:
    """Find the items of the tests that the controller requests of a measuring process. Of equal names the first counts.

    Returns the items by the controller's names, and the reasons why other tests are not available.
    """
    named: dict[str, pytest.Item] = {}
    for item, name in names_of(items).items():
        named.setdefault(name, item)
    functions = {function_of(nodeid) for nodeid in hello.nodeids}
    own = {
        name: fingerprint_of(item, keywords_of(item) or {})
        for name, item in named.items()
        if function_of(name) in functions
    }
    wanted = {nodeid: hello.fingerprints.get(nodeid, "") for nodeid in hello.nodeids}
    tests = identify_tests(wanted, own, runs_base=hello.runs_base)
    return {nodeid: named[tests.found[nodeid]] for nodeid in hello.nodeids if nodeid in tests.found}, tests


def keywords_of(item: pytest.Item) -> dict[str, object] | None:
    """Return the keywords of the item's marker; None: not a perf test. A marker that is wrong is reported later."""
    try:
        return marker_keywords(item)
    except pytest.UsageError:
        return {}


def names_of(items: Iterable[pytest.Item]) -> dict[pytest.Item, str]:
    """Return the name of each item: its node id, without the group that xdist adds and without memory addresses.

    Ids that differ only by an address are numbered in the order of collection.
    """
    names: dict[pytest.Item, str] = {}
    same_name: defaultdict[str, list[str]] = defaultdict(list)
    for item in dict.fromkeys(items):
        nodeid = _without_group(item)
        masked = _without_addresses(nodeid, item)
        if masked != nodeid:
            if nodeid not in same_name[masked]:
                same_name[masked].append(nodeid)
            number = same_name[masked].index(nodeid) + 1
            masked += f"#{number}" if number > 1 else ""
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
    """Return the parameters of a test, including those of its fixtures."""
    callspec = getattr(item, "callspec", None)
    return dict(callspec.params) if callspec is not None else {}


def shown_parameters(item: pytest.Item) -> dict[str, str]:
    """Return the parameters of a test as texts: plain values as they are, others by their type."""
    return {
        name: str(value) if isinstance(value, str | int | float | None) else type(value).__name__
        for name, value in parameters_of(item).items()
    }


def definition_of(item: pytest.Item) -> str:
    """Return where a test is defined: its file and its qualified name."""
    function = getattr(item, "function", None)
    return f"{item.path}::{getattr(function, '__qualname__', item.name)}"


def _without_group(item: pytest.Item) -> str:
    """Return the node id without the suffix that a worker of xdist adds for `--dist=loadgroup`."""
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
    parameters = _ADDRESS.sub(f"at {_MASKED_ADDRESS}", parameters)
    for value in parameters_of(item).values():
        for address in (hex(id(value)), str(id(value))):
            parameters = parameters.replace(address, _MASKED_ADDRESS)
    return f"{function}[{parameters}"
