"""Which perf tests a run has: as its items are when all collection hooks are done, also if plugins marked, replaced or renamed them."""

from __future__ import annotations

from collections import defaultdict
from collections.abc import Iterable, Mapping, Sequence
from typing import NamedTuple

import pytest

from pytest_perfguard.engine.runner.protocol import Hello
from pytest_perfguard.engine.runner.test_identity import IdentifiedTests, function_of, identify_tests
from pytest_perfguard.plugin.options import marker_keywords
from pytest_perfguard.plugin.output import usage_error
from pytest_perfguard.plugin.test_names import fingerprint_of, names_of, place_of


class PerfTest(NamedTuple):
    """What is known of a perf test before it runs."""

    nodeid: str
    keywords: dict[str, object]
    fingerprint: str


class PerfTests(NamedTuple):
    """The perf tests of a run."""

    tests: dict[pytest.Item, PerfTest]
    found: list[str]
    """Node ids of all of them, also of those that hooks left out."""
    deselected: bool
    """Was any left out?"""
    unmeasurable: list[str]
    """Node ids of items that are marked and cannot be called again and again: they stay ordinary tests."""


def take_stock(items: Sequence[pytest.Item], marked_before: Mapping[pytest.Item, bool]) -> PerfTests:
    """Find the perf tests among the items.

    `marked_before` has all items before the collection hooks, and whether they were perf tests then.
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
        # Hooks mark tests here. Those that were left out before it came to that may have been perf tests.
        found |= {names[item] for item in gone}
    return PerfTests(
        tests, [name for name in dict.fromkeys(names.values()) if name in found], bool(left_out), unmeasurable
    )


def is_measurable(item: pytest.Item) -> bool:
    """Has the item a function that can be called again and again? A doctest has none, nor has what a plugin makes of a file."""
    return isinstance(item, pytest.Function)


def check_distinct(tests: Mapping[pytest.Item, PerfTest]) -> None:
    """Refuse two tests of one node id: all that is known of a test goes by its id.

    Raises
    ------
    pytest.UsageError
        naming the id and both places.
    """
    alike: defaultdict[str, list[pytest.Item]] = defaultdict(list)
    for item, test in tests.items():
        alike[test.nodeid].append(item)
    for nodeid, items in alike.items():
        first, *others = items
        for other in others:
            if (other.path, tests[other].fingerprint) == (first.path, tests[first].fingerprint):
                continue  # one test, collected twice
            places = " and ".join(dict.fromkeys([place_of(first), place_of(other)]))
            raise usage_error(
                f"two perf tests have the node id {nodeid}, so that their results cannot be told apart: {places}; give them "
                "different names, run them one at a time, or set --rootdir to a folder that holds both files"
            )


def find_tests(hello: Hello, items: Iterable[pytest.Item]) -> tuple[dict[str, pytest.Item], IdentifiedTests]:
    """Find the tests that a measuring process is to serve among its own items, the first of a name counting.

    Returns them by the run's names, and why others are not to be had.
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
    """Return the keywords of the item's marker; None: no perf test. A wrong marker counts as one, and is reported later."""
    try:
        return marker_keywords(item)
    except pytest.UsageError:
        return {}
