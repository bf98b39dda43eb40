"""Errors hold their facts, contain a remedy, and survive a process boundary."""

from __future__ import annotations

import ast
import pickle
import re
from pathlib import Path

import pytest

import pytest_perfguard
from pytest_perfguard.core import errors, tool_errors
from pytest_perfguard.core.errors import (
    BaselineMissing,
    BaselineUnreadable,
    CannotRepeat,
    ChildDied,
    ChildTimedOut,
    LeakError,
    SettingError,
)

EXAMPLES = [
    SettingError("'5' is no percentage", "--perf-threshold"),
    BaselineMissing("/x/perf-baseline.json"),
    BaselineUnreadable("/x/b.json", "not JSON", line=7),
    ChildDied("measuring t", "log", status=-11),
    ChildTimedOut("measuring t", limit=60.0),
    LeakError(["leak: 1 open file per call", "    /x (descriptor 5)"]),
    CannotRepeat("ValueError: again"),
]


@pytest.mark.parametrize("error", EXAMPLES, ids=lambda error: type(error).__name__)
def test_an_error_is_the_same_after_pickling(error):
    again = pickle.loads(pickle.dumps(error))
    assert (type(again), str(again), vars(again)) == (type(error), str(error), vars(error))


def test_a_missing_baseline_names_the_command_that_records_one():
    assert str(BaselineMissing("b.json")) == "no baseline file b.json; record one with: pytest --perf-baseline"


def test_an_unreadable_baseline_names_the_line_and_says_that_it_was_left_alone():
    assert str(BaselineUnreadable("b.json", "not JSON", line=7)).startswith("b.json:7: not JSON; the file is unchanged")


@pytest.mark.parametrize(
    ("status", "text"), [(-11, "was ended by SIGSEGV"), (3, "exited with status 3"), (-250, "was ended by signal 250")]
)
def test_a_dead_process_says_how_it_died(status, text):
    assert text in str(ChildDied("measuring t", status=status))


def test_a_time_limit_is_named():
    assert "within the time limit of 60 s" in str(ChildTimedOut("measuring t", limit=60.0))


def drawn_tree():
    """Yield (error, its parent) of the trees in the docstrings."""
    for module in (errors, tool_errors):
        above = ["PerfguardError"]
        for line in module.__doc__.splitlines():
            if match := re.match(r"((?:\|   |    )*)[|`]-- (\w+)", line):
                depth = len(match[1]) // 4 + 1
                yield match[2], above[depth - 1]
                above[depth:] = [match[2]]


def defined_errors():
    """Return the base classes of every error of the package by its name."""
    files = Path(pytest_perfguard.__file__).parent.rglob("*.py")
    classes = [
        node for file in files for node in ast.walk(ast.parse(file.read_text())) if isinstance(node, ast.ClassDef)
    ]
    bases = {node.name: {base.id for base in node.bases if isinstance(base, ast.Name)} for node in classes}
    known = {"PerfguardError"}
    while more := {name for name, above in bases.items() if above & known} - known:
        known |= more
    return {name: bases[name] for name in known if not name.startswith("_") and name != "PerfguardError"}


def test_the_trees_in_the_docstrings_are_complete():
    drawn, defined = dict(drawn_tree()), defined_errors()
    assert sorted(drawn) == sorted(defined)
    assert [name for name, parent in drawn.items() if parent not in defined[name]] == []
