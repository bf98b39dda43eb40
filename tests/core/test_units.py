"""Parsing and formatting of values with units."""

from __future__ import annotations

import math
import re

import pytest
from hypothesis import given
from hypothesis import strategies as st

from pytest_perfguard.core.errors import SettingError
from pytest_perfguard.core.units import (
    DURATIONS,
    SIZES,
    describe_change,
    describe_range,
    format_amount,
    format_change,
    format_duration,
    format_interval,
    format_magnitude,
    format_size,
    is_factor,
    parse_duration,
    parse_percent,
    parse_size,
)


@pytest.mark.parametrize(
    ("text", "seconds"),
    [("50us", 50e-6), ("1.5s", 1.5), (" 2 ms ", 2e-3), ("3µs", 3e-6), ("1min", 60), ("1e3ns", 1e-6)],
)
def test_durations_are_read_as_people_write_them(text, seconds):
    assert parse_duration(text) == pytest.approx(seconds)


@pytest.mark.parametrize(
    ("text", "size"), [("10MB", 10_000_000), ("10MiB", 10_485_760), ("512B", 512), ("1.5kB", 1500)]
)
def test_sizes_know_both_kinds_of_prefix(text, size):
    assert parse_size(text) == size


@pytest.mark.parametrize("text", ["5", "5s ", "", "%", "5%%", "-5%", "nan%", None, 0.05, "1e999%"])
def test_a_percentage_needs_its_sign(text):
    """5 could mean 5 % or 500 %, so it is refused with an example."""
    with pytest.raises(SettingError, match="a percentage such as"):
        parse_percent(text)


@pytest.mark.parametrize("text", ["5", "5 lightyears", "s", "-1s", 5, "1,5s", "1s2"])
def test_a_duration_needs_a_known_unit(text):
    with pytest.raises(SettingError, match="a duration such as 50us"):
        parse_duration(text)


@given(st.integers(0, 10**9), st.sampled_from(sorted(DURATIONS)))
def test_every_whole_number_with_every_unit_of_time_is_read(number, unit):
    assert parse_duration(f"{number}{unit}") == pytest.approx(number * DURATIONS[unit])


@given(st.integers(0, 10**9), st.sampled_from(sorted(SIZES)))
def test_every_whole_number_with_every_unit_of_size_is_read(number, unit):
    assert parse_size(f"{number} {unit}") == pytest.approx(number * SIZES[unit])


@given(st.floats(1e-9, 1e4))
def test_a_formatted_duration_reads_back_to_three_digits(seconds):
    assert parse_duration(format_duration(seconds)) == pytest.approx(seconds, rel=6e-3)


@given(st.floats(1, 1e14))
def test_a_formatted_size_reads_back_to_three_digits(size):
    assert parse_size(format_size(size)) == pytest.approx(size, rel=6e-3)


@pytest.mark.parametrize(
    ("seconds", "text"), [(0, "0 ns"), (12.34e-6, "12.3 us"), (0.9996, "1.00 s"), (123e-9, "123 ns"), (1234, "1234 s")]
)
def test_durations_are_written_in_the_unit_that_fits(seconds, text):
    assert format_duration(seconds) == text


@pytest.mark.parametrize(
    ("ratio", "text"),
    [
        (1.042, "+4.2 %"), (1.12, "+12.0 %"), (0.969, "-3.1 %"), (1.0, "+0.0 %"), (0.9999, "+0.0 %"), (0.0, "-100.0 %"),
        (1.9999, "2.0x"), (2.0, "2.0x"), (5.0, "5.0x"), (27.04, "27x"), (999.9, "1000x"), (1234.0, "1230x"),
        (123456.0, "1.2e+05x"), (0.5, "0.50x"), (0.042, "0.042x"), (math.inf, "from nothing"), (math.nan, "unknown"),
    ],
)  # fmt: skip
def test_a_cell_shows_a_percentage_below_twice_and_a_factor_from_there_on(ratio, text):
    assert format_change(ratio) == text


@pytest.mark.parametrize(
    ("ratio", "interval", "text"),
    [
        (1.12, (1.09, 1.15), "12 % slower (9 to 15 %)"),
        (1.095, (1.091, 1.098), "9.5 % slower (9.1 to 9.8 %)"),
        (1.20, (1.093, 1.31), "20 % slower (9.3 to 31 %)"),
        (0.82, (0.79, 0.85), "18 % faster (15 to 21 %)"),
        (1.015, (0.99, 1.04), "1.5 % slower (-1 to +4 %)"),
        (0.985, (0.96, 1.01), "1.5 % faster (-4 to +1 %)"),
        (1.06, (1.0, 1.12), "6.0 % slower (0 to 12 %)"),
        (1.0, (0.99, 1.0), "no change (-1 to 0 %)"),
        (1.0, (1.0, 1.0), "no change"),
        (1.0001, (0.9999, 1.0002), "no change"),
        (3.3, (3.29, 3.34), "3.3x slower (interval 3.3x to 3.3x)"),
        (5.0, (4.6, 5.5), "5.0x slower (interval 4.6x to 5.5x)"),
        (1 / 2.4, (1 / 2.6, 1 / 2.2), "2.4x faster (interval 2.2x to 2.6x)"),
        (4.592, (0.8, 49.9), "4.6x slower (interval 0.80x to 50x)"),
        (1.5, (0.7, 4.0), "50 % slower (-30 to +300 %)"),
        (27.0, (27.0, 27.0), "27x slower"),
        (0.3, (0.0, 0.5), "3.3x faster (at least 2.0x)"),
        (0.0, (0.0, 0.0), "100 % faster"),
        (1.5, (1.2, math.inf), "50 % slower"),
        (1.5, None, "50 % slower"),
        (math.inf, None, "from nothing"),
    ],
)
def test_a_sentence_names_the_direction_and_shows_the_interval_on_the_scale_of_the_value(ratio, interval, text):
    assert describe_change(ratio, interval) == text


def test_other_metrics_bring_their_own_words():
    assert describe_change(27.0, worse="more memory", better="less memory") == "27x more memory"
    assert describe_change(0.9, worse="more memory", better="less memory") == "10 % less memory"


@pytest.mark.parametrize(
    ("interval", "ratio", "text"),
    [
        ((1.09, 1.152), 1.12, "+9.0 to +15.2 %"), ((4.6, 5.5), 5.0, "4.6x to 5.5x"), ((0.38, 0.45), 0.42, "0.38x to 0.45x"),
        ((0.5, 49.9), 1.5, "-50.0 to +4890.0 %"), ((0.5, math.inf), 1.5, ""),
    ],
)  # fmt: skip
def test_an_interval_in_a_table_has_the_scale_of_its_value(interval, ratio, text):
    assert format_interval(interval, ratio) == text


@pytest.mark.parametrize(
    ("ratio", "like", "text"),
    [(1.68, None, "68 %"), (1.036, None, "3.6 %"), (5.0, None, "5.0x"), (0.4, None, "2.5x"), (2.2, 1.1, "120 %"),
     (1.1, 2.2, "1.1x"), (1.1, 1.1, "10 %")],
)  # fmt: skip
def test_a_magnitude_has_no_sign(ratio, like, text):
    assert format_magnitude(ratio, like) == text


def test_a_range_has_one_scale():
    assert describe_range(2.9, 6.1, 4.2) == "2.9x and 6.1x"
    assert describe_range(0.98, 1.09, 1.03) == "-2 % and +9 %"
    assert describe_range(0.982, 1.09, 1.03) == "-1.8 % and +9.0 %"
    assert describe_range(1.5, 6.1, 2.5) == "1.5x and 6.1x"


RATIOS = st.floats(0, allow_nan=False)
ANY_RATIO = st.floats()


def shown_ratio(text: str) -> float:
    """The ratio that a cell shows."""
    if text == "from nothing":
        return math.inf
    return float(text.removesuffix("x")) if text.endswith("x") else 1 + float(text.removesuffix(" %")) / 100


@given(RATIOS, RATIOS)
def test_a_larger_ratio_is_never_shown_as_a_smaller_one(one, other):
    low, high = sorted((one, other))
    assert shown_ratio(format_change(low)) <= shown_ratio(format_change(high)) * (1 + 1e-9)


@given(st.floats(1e-9, 1e9))
def test_a_cell_is_close_to_its_ratio(ratio):
    assert shown_ratio(format_change(ratio)) == pytest.approx(ratio, rel=0.06)


@given(st.floats(1e-6, 1e6), st.floats(0.1, 10), st.floats(0.1, 10))
def test_the_value_and_both_ends_of_the_interval_are_on_one_scale(ratio, below, above):
    interval = (ratio * min(1.0, below), ratio * max(1.0, above))
    for text in (
        f"{format_change(ratio)} {format_interval(interval, ratio)}",
        describe_change(ratio, interval).replace("no change", "0 %"),
        f"{describe_range(*interval, ratio)}",
    ):
        assert len({"%" in text, not re.search(r"\dx", text)}) == 1, text
    assert is_factor(ratio) == ("%" not in format_change(ratio))


@given(ANY_RATIO, st.none() | st.tuples(ANY_RATIO, ANY_RATIO), st.none() | ANY_RATIO)
def test_no_number_is_too_strange_to_be_shown(ratio, interval, like):
    texts = [format_change(ratio), format_magnitude(ratio), describe_change(ratio, interval)]
    if interval is not None:
        texts.append(format_interval(interval, ratio))
    assert not [text for text in texts if re.search("nan|inf(?!o)", text.replace("interval", ""))], texts
    assert format_change(ratio, like)
    assert format_magnitude(ratio, like)


def test_amounts_follow_their_unit():
    assert format_amount(1_658_695, "instructions") == "1.66 M"
    assert [format_amount(count, "instructions") for count in (0, 413, 80_000, 2.5e9)] == [
        "0",
        "413",
        "80.0 k",
        "2.50 G",
    ]
    assert [format_amount(1500, unit) for unit in ("s", "B", "blocks")] == ["1500 s", "1.50 KB", "1500 blocks"]
