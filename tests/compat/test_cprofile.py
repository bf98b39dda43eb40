"""pytest-benchmark's `cprofile`: which calls are made, which rows are kept."""

from __future__ import annotations

import asyncio

import pytest

from pytest_perfguard.compat.call import BenchmarkCall
from pytest_perfguard.compat.cprofile import (
    COLUMNS,
    parse_column,
    parse_loops,
    profile_call,
    profile_call_async,
    rows_of,
    table_lines,
)
from pytest_perfguard.core.errors import SettingError


def inner():
    return len("")


def outer():
    return [inner() for _ in range(3)]


def test_setup_comes_once_and_teardown_after_each_call():
    made = []
    work = BenchmarkCall(
        lambda name: made.append(f"call {name}"),
        setup=lambda: made.append("setup") or (("x",), {}),
        teardown=lambda name: made.append(f"teardown {name}"),
    )
    profile_call(work, 2)
    assert made == ["setup", "call x", "teardown x", "call x", "teardown x"]


def test_a_coroutine_function_is_awaited():
    made = []

    async def fetch():
        await asyncio.sleep(0)
        made.append("fetched")

    stats = asyncio.run(profile_call_async(BenchmarkCall(fetch), 2))
    assert made == ["fetched"] * 2
    assert "fetch" in {name for _file, _line, name in stats.stats}


def test_rows_are_sorted_by_the_column_largest_first():
    rows = rows_of(profile_call(BenchmarkCall(outer), 1), "ncalls", 25)
    assert [row["ncalls"] for row in rows] == sorted((row["ncalls"] for row in rows), reverse=True)
    assert set(rows[0]) == set(COLUMNS)
    (row,) = [row for row in rows if "(inner)" in row["function_name"]]
    assert (row["ncalls"], row["ncalls_recursion"]) == (3, "3")
    assert row["tottime_per"] == pytest.approx(row["tottime"] / 3)
    assert rows[0]["function_name"].endswith("(inner)") or "len" in rows[0]["function_name"]


def test_so_many_rows_are_kept_as_are_wanted():
    stats = profile_call(BenchmarkCall(outer), 1)
    assert len(rows_of(stats, "tottime", 2)) == 2
    names = [row["function_name"] for row in rows_of(stats, "function_name", 25)]
    assert names == sorted(names)


def test_a_recursive_function_shows_its_primitive_calls():
    def down(n):
        return down(n - 1) if n else 0

    rows = rows_of(profile_call(BenchmarkCall(down, (4,)), 1), "ncalls", 25)
    assert rows[0]["ncalls_recursion"] == "5/1"


def test_the_table_names_the_benchmark_and_the_column():
    lines = list(table_lines([("test_a.py::test_b", profile_call(BenchmarkCall(outer), 1))], "cumtime", 1))
    assert lines[0] == "cProfile of test_a.py::test_b (time in s, by cumtime)"
    assert lines[1].split() == ["ncalls", "tottime", "percall", "cumtime", "percall", "filename:lineno(function)"]
    assert lines[3].split()[0] == "1"
    assert "(outer)" in lines[3]


@pytest.mark.parametrize(("text", "loops"), [("auto", 0), ("3", 3), (1, 1)])
def test_loops(text, loops):
    assert parse_loops(text) == loops


def test_what_cannot_be_meant_is_refused():
    with pytest.raises(SettingError, match="'time' is not a column of a profile \\(valid: ncalls_recursion, ncalls, "):
        parse_column("time")
    for text in ("0", "many", -1):
        with pytest.raises(SettingError, match="is not a number of calls"):
            parse_loops(text)
