"""What options and markers may say of a benchmark."""

from __future__ import annotations

import time

import pytest

from pytest_perfguard.compat.options import (
    BenchmarkOptions,
    parse_count,
    parse_fraction,
    parse_seconds,
    parse_timer,
    parse_warmup,
    with_marker,
)
from pytest_perfguard.core.errors import SettingError


def test_the_marker_goes_before_the_options():
    timer = time.process_time
    keywords = {"max_time": "0.5", "min_rounds": 3, "timer": timer, "warmup": "on", "cprofile": True, "group": "g"}
    choices = with_marker(BenchmarkOptions(min_time=0.1), keywords, (), "marker benchmark of a")
    assert choices == BenchmarkOptions(
        min_time=0.1, max_time=0.5, min_rounds=3, timer=timer, warmup=True, group="g", cprofile=True
    )


@pytest.mark.parametrize(
    ("keywords", "args", "message"),
    [
        ({"unheard_of": 1}, (), "marker benchmark of a: unknown keyword 'unheard_of' (valid: calibration_precision, "),
        ({}, ("x",), "marker benchmark of a: 'x' is a positional argument"),
        ({"max_time": "soon"}, (), "marker benchmark of a: max_time is 'soon': "),
        ({"min_rounds": 0}, (), "min_rounds is 0: 0 is too small: give at least 1"),
        ({"timer": "clock"}, (), "timer is 'clock': it is not callable"),
        ({"warmup": "maybe"}, (), "warmup is 'maybe': 'maybe' is not a valid warm-up"),
    ],
)
def test_what_a_marker_cannot_mean_is_refused(keywords, args, message):
    with pytest.raises(SettingError) as caught:
        with_marker(BenchmarkOptions(), keywords, args, "marker benchmark of a")
    assert message in str(caught.value)


@pytest.mark.parametrize(
    ("parse", "text", "value"),
    [
        (parse_seconds, "0.000005", 5e-6),
        (parse_count, "7", 7),
        (parse_fraction, "0.02", 0.02),
        (parse_warmup, " On ", True),
        (parse_warmup, "no", False),
        (parse_timer, "time.process_time", time.process_time),
    ],
)
def test_values_are_written_as_for_pytest_benchmark(parse, text, value):
    assert parse(text) == value


@pytest.mark.parametrize(
    ("parse", "text"),
    [
        (parse_seconds, "1s"), (parse_seconds, "-1"), (parse_seconds, "inf"), (parse_count, "0"), (parse_count, "1.5"),
        (parse_fraction, "1"), (parse_fraction, "5%"), (parse_warmup, "maybe"), (parse_timer, "clock"),
        (parse_timer, "nowhere.clock"), (parse_timer, "time.nothing"), (parse_timer, "time.timezone"),
    ],
)  # fmt: skip
def test_other_values_are_refused_by_name(parse, text):
    with pytest.raises(SettingError, match="^" + repr(text).replace(".", r"\.").replace("(", r"\(")):
        parse(text)


def test_the_options_are_told_in_files_as_pytest_benchmark_tells_them():
    data = BenchmarkOptions(timer=time.process_time, precision=0.1).as_data()
    assert data["timer"] == "process_time"
    assert (data["precision"], data["confidence"], data["warmup"]) == (0.1, 0.99, False)
