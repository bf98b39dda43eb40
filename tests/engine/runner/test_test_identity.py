"""Which test of a process is which test of the run."""

from __future__ import annotations

import pytest

from pytest_perfguard.engine.runner.test_identity import IdentifiedTests, identify_tests


def mark(source="s", value="v", kind="k"):
    return f"function=f:f;parameter job={kind}:{value};source={source}:"


A, B, C = mark(value="a"), mark(value="b"), mark(value="c")


@pytest.mark.parametrize(
    ("wanted", "own", "found"),
    [
        ({"t[0]": A, "t[1]": B}, {"t[0]": A, "t[1]": B}, {"t[0]": "t[0]", "t[1]": "t[1]"}),
        ({"t[0]": A, "t[1]": B}, {"t[0]": B, "t[1]": A}, {"t[0]": "t[1]", "t[1]": "t[0]"}),
        ({"t[0]": A, "t[1]": B, "t[2]": C}, {"t[0]": B, "t[1]": C, "t[2]": A}, {"t[0]": "t[2]", "t[1]": "t[0]", "t[2]": "t[1]"}),
        ({"t[x]": A}, {"t[y]": A, "t[z]": B}, {"t[x]": "t[y]"}),
        ({"t[0]": A, "t[1]": A}, {"t[0]": A, "t[1]": A}, {"t[0]": "t[0]", "t[1]": "t[1]"}),
        ({"t[x]": A, "t[y]": A}, {"t[y]": A, "t[z]": A}, {"t[x]": "t[z]", "t[y]": "t[y]"}),
        ({"t": ""}, {"t": A}, {"t": "t"}),
    ],
)  # fmt: skip
def test_a_test_is_found_by_what_it_is(wanted, own, found):
    assert identify_tests(wanted, own) == IdentifiedTests(found, {}, {})


def test_what_is_another_test_is_not_believed():
    tests = identify_tests({"t[0]": A}, {"t[0]": B, "u[0]": A})
    assert tests.found == {}
    assert "(parameter job differs)" in tests.mismatches["t[0]"]
    tests = identify_tests({"t[0]": A}, {"t[0]": mark("other", "a")})
    assert "another source" in tests.mismatches["t[0]"]


def test_another_revision_may_make_other_values_and_no_other_kinds():
    assert identify_tests({"t[0]": A}, {"t[0]": B}, runs_base=True).found == {"t[0]": "t[0]"}
    assert identify_tests({"t[0]": A}, {"t[0]": B, "t[1]": A}, runs_base=True).found == {"t[0]": "t[1]"}
    assert identify_tests({"t[0]": A}, {"t[0]": mark(kind="other")}, runs_base=True).found == {}
    assert identify_tests({"t[0]": A}, {"t[0]": mark("other", "a")}, runs_base=True).found == {}


def test_ids_of_the_same_function_are_named_where_the_wanted_one_is_missing():
    own = {f"f.py::t[{name}]": mark(value=name) for name in "pqrstu"}
    told = identify_tests({"f.py::t[x]": A, "f.py::gone": A}, own)
    assert told.found == told.mismatches == {}
    assert list(told.other_ids) == ["f.py::t[x]"]
    assert "no [x] of this test, but [p], [q], [r] and 3 more" in told.other_ids["f.py::t[x]"]
    there = identify_tests({"f.py::t[x]": A}, own, runs_base=True).other_ids["f.py::t[x]"]
    assert there == "there this test has the parameters [p], [q], [r] and 3 more"
