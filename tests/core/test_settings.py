"""Settings: precedence, and errors with the value, its source and the valid choices."""

from __future__ import annotations

import pytest
from hypothesis import given
from hypothesis import strategies as st

from pytest_perfguard.core.errors import SettingError
from pytest_perfguard.core.option_specs import OPTION_SPECS
from pytest_perfguard.core.parsers import DEFAULT_FLOOR, Floor
from pytest_perfguard.core.settings import resolve


def settled(marker=None, command_line=None, ini=None):
    return resolve(marker=marker or {}, command_line=command_line or {}, ini=ini or {}, test="test_a.py::test_b")


def test_the_marker_beats_the_command_line_beats_the_ini_file_beats_the_default():
    assert settled().threshold == 0.05
    assert settled(ini={"threshold": "4%"}).threshold == pytest.approx(0.04)
    assert settled(ini={"threshold": "4%"}, command_line={"threshold": "3%"}).threshold == pytest.approx(0.03)
    assert settled({"threshold": "2%"}, {"threshold": "3%"}, {"threshold": "4%"}).threshold == pytest.approx(0.02)


def test_pairs_detect_smaller_slowdowns_unless_a_threshold_was_given():
    assert (settled().threshold, settled().for_pairs().threshold) == (0.05, 0.03)
    for place in ({"marker": {"threshold": "8%"}}, {"ini": {"threshold": "8%"}}, {"command_line": {"threshold": "8%"}}):
        given_once = settled(**place)
        assert given_once.threshold == given_once.for_pairs().threshold == pytest.approx(0.08)


def test_none_means_not_given():
    assert settled(command_line={"threshold": None}, ini={"threshold": "4%"}).threshold == pytest.approx(0.04)


@pytest.mark.parametrize(
    ("given_at", "place"),
    [
        ({"marker": {"budget": "5"}}, "budget in the marker perf of test_a.py::test_b"),
        ({"command_line": {"budget": "5"}}, "--perf-budget"),
        ({"ini": {"budget": "5"}}, "perf_budget in the ini file"),
    ],
)
def test_a_wrong_value_is_named_with_its_place(given_at, place):
    with pytest.raises(SettingError) as caught:
        settled(**given_at)
    assert str(caught.value).startswith(f"{place}: '5' is not a duration")


def test_an_unknown_marker_keyword_lists_the_valid_ones():
    with pytest.raises(SettingError, match=r"unknown keyword 'treshold' \(valid: threshold, floor, .*setup\)"):
        settled({"treshold": "5%"})


def test_what_concerns_the_run_is_no_marker_keyword():
    with pytest.raises(SettingError, match="unknown keyword 'file'"):
        settled({"file": "x.json"})


@pytest.mark.parametrize(
    ("value", "floor"),
    [
        ("50us", Floor(50e-6, DEFAULT_FLOOR.bytes)),
        ("2KB", Floor(DEFAULT_FLOOR.seconds, 2000)),
        ("50us,2KB", Floor(50e-6, 2000)),
    ],
)
def test_a_floor_is_a_duration_a_size_or_both(value, floor):
    taken = settled({"floor": value}).floor
    assert (taken.seconds, taken.bytes) == pytest.approx((floor.seconds, floor.bytes))


def test_a_budget_takes_its_metric():
    assert settled({"metrics": "cpu", "max_memory": "1MB"}).metrics == ("cpu", "memory")


@pytest.mark.parametrize("value", [("time", "memory"), "memory,time", ["time", "memory"]])
def test_metrics_are_a_list_in_any_form(value):
    assert settled({"metrics": value}).metrics == ("time", "memory")


@pytest.mark.parametrize("value", ["+instructions", ["+instructions"], "time,+instructions"])
def test_a_plus_adds_a_metric_to_the_default_ones(value):
    assert settled({"metrics": value}).metrics == ("time", "cpu", "memory", "blocks", "instructions")


def test_instructions_are_off_by_default():
    assert settled({}).metrics == ("time", "cpu", "memory", "blocks")


@pytest.mark.parametrize(
    ("name", "value", "problem"),
    [
        ("metrics", "time,tmie", "unknown metric 'tmie' .valid: time, cpu, memory, blocks"),
        ("metrics", [], "not a list of metrics"),
        ("setup", 5, "5 is not callable"),
        ("floor", "5", "neither a duration .50us. nor a size"),
        ("max_memory", "10", "'10' is not a size"),
    ],
)
def test_wrong_values_say_what_is_valid(name, value, problem):
    with pytest.raises(SettingError, match=problem):
        settled({name: value})


@pytest.mark.parametrize(("value", "strict"), [("true", True), ("off", False), (True, True), ("1", True)])
def test_flags_are_read_from_an_ini_file(value, strict):
    assert settled(ini={"strict": value}).strict is strict


def test_a_report_needs_a_known_suffix():
    with pytest.raises(SettingError, match=r"'x.txt' has no known report format \(valid suffixes: .json"):
        settled(command_line={"report": ["x.txt"]})


@given(
    st.sampled_from([knob for knob in OPTION_SPECS if knob.option]), st.one_of(st.text(), st.integers(), st.binary())
)
def test_whatever_is_written_is_understood_or_refused_by_name(knob, value):
    """No input causes any other error than the one that names the option."""
    try:
        settled(command_line={knob.name: value})
    except SettingError as error:
        assert error.place == knob.flag


def test_when_to_explain():
    assert settled().explain == "auto"
    assert settled({"explain": False}).explain == "off"
    assert settled(command_line={"explain": "on"}).explain == "on"
    with pytest.raises(SettingError, match=r"'soon' does not choose when to explain \(valid: auto, on, off\)"):
        settled(command_line={"explain": "soon"})
