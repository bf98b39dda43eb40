"""The options of pytest-benchmark and pytest-codspeed."""

from __future__ import annotations

import csv
import json

import pytest

from pytest_perfguard.plugin.benchmark.options import BENCHMARK_OPTIONS, CODSPEED_OPTIONS, flag_of

SUITE = """
import pytest

def test_plain():
    pass

def test_fast(benchmark):
    benchmark.pedantic(abs, (-1,), rounds=10, iterations=10)

@pytest.mark.parametrize("size", [10, 20])
def test_sized(benchmark, size):
    benchmark.extra_info["size"] = size
    benchmark.pedantic(sum, (range(size),), rounds=10)

@pytest.mark.benchmark(max_time=0.0001)
def test_marked():
    CALLS.append(1)

CALLS = []
"""


@pytest.fixture
def suite(pytester):
    pytester.makeini("[pytest]\n")
    pytester.makepyfile(test_a=SUITE)
    return pytester


#: A value for each option that takes one.
VALUES = {
    "min-time": "0", "max-time": "0.001", "min-rounds": "2", "precision": "0.5", "confidence": "0.9",
    "timer": "time.process_time", "calibration-precision": "1", "warmup": "off", "warmup-iterations": "5", "save": "x",
    "json": "x.json", "compare": "0001", "compare-fail": "min:5%", "cprofile": "tottime", "cprofile-loops": "auto",
    "cprofile-top": "3", "cprofile-dump": "x", "storage": "file://runs", "netrc": "x", "sort": "name",
    "group-by": "func", "columns": "min,max", "name": "short", "time-unit": "ms", "histogram": "x", "csv": "x.csv",
    "codspeed-mode": "walltime", "codspeed-warmup-time": "0", "codspeed-max-time": "0.001", "codspeed-max-rounds": "3",
}  # fmt: skip
#: What no other can stand beside, or what needs a saved run.
ALONE = ("disable", "only", "skip", "compare-fail", "codspeed")


@pytest.mark.parametrize("place", ["command line", "addopts"])
def test_every_option_is_accepted(suite, place):
    flags = [
        flag_of(option) if option.kind == "flag" else f"{flag_of(option)}={VALUES[option.name]}"
        for option in (*BENCHMARK_OPTIONS, *CODSPEED_OPTIONS)
        if option.name not in ALONE
    ]
    if place == "addopts":
        suite.makeini(f"[pytest]\naddopts = {' '.join(flags)}\n")
        flags = []
    result = suite.runpytest(*flags)
    result.assert_outcomes(passed=5)
    result.stdout.fnmatch_lines(["perfguard: --benchmark-netrc is accepted and has no effect here"])


@pytest.mark.parametrize("option", [option for option in BENCHMARK_OPTIONS if option.kind in ("optional", "listed")])
def test_optional_values_can_be_left_out(suite, option):
    suite.runpytest("test_a.py", flag_of(option)).assert_outcomes(passed=5)


@pytest.mark.parametrize(
    ("options", "outcomes"),
    [
        (["--benchmark-skip"], {"passed": 2, "skipped": 3}),
        (["--benchmark-only"], {"passed": 4, "skipped": 1}),
        (["--benchmark-only", "--benchmark-skip"], {"passed": 4, "skipped": 1}),
        (["--codspeed", "--codspeed-warmup-time=0"], {"passed": 4, "deselected": 1}),
    ],
)
def test_benchmarks_are_chosen_or_left_out(suite, options, outcomes):
    suite.runpytest(*options).assert_outcomes(**outcomes)


@pytest.mark.parametrize("option", ["--codspeed", "--benchmark-only"])
def test_a_marked_test_is_measured_whole_where_benchmarks_are_asked_for(suite, option):
    suite.runpytest(option, "--codspeed-warmup-time=0", "--benchmark-json=x.json")
    benchmarks = json.loads((suite.path / "x.json").read_text())["benchmarks"]
    assert [one["name"] for one in benchmarks] == ["test_fast", "test_sized[10]", "test_sized[20]", "test_marked"]
    assert benchmarks[-1]["stats"]["rounds"] >= 1


def test_the_file_has_everything_that_was_measured(suite):
    suite.runpytest("--benchmark-json=out/x.json").stdout.fnmatch_lines(["perfguard: wrote out/x.json"])
    content = json.loads((suite.path / "out" / "x.json").read_text())
    names = {one["fullname"]: one for one in content["benchmarks"]}
    assert list(names) == ["test_a.py::test_fast", "test_a.py::test_sized[10]", "test_a.py::test_sized[20]"]
    sized = names["test_a.py::test_sized[20]"]
    assert (sized["params"], sized["param"], sized["extra_info"]) == ({"size": 20}, "20", {"size": 20})
    assert len(sized["stats"]["data"]) == sized["stats"]["rounds"] == 10
    assert names["test_a.py::test_fast"]["stats"]["iterations"] == 10


def test_a_file_that_cannot_be_written_is_told(suite):
    (suite.path / "folder").write_text("a file")
    result = suite.runpytest("--benchmark-json=folder/x.json")
    assert result.ret == 4
    result.stdout.fnmatch_lines(["perfguard: not written: *folder*"])


def test_runs_are_saved_and_compared_by_number(suite):
    suite.runpytest("--benchmark-save=one", "--benchmark-storage=runs")
    suite.runpytest("--benchmark-autosave", "--benchmark-save-data", "--benchmark-storage=file://runs")
    first, second = sorted((suite.path / "runs").glob("*/*.json"))
    assert first.name == "0001_one.json"
    assert second.name.startswith("0002_unversioned_")
    assert "data" not in json.loads(first.read_text())["benchmarks"][0]["stats"]
    assert "data" in json.loads(second.read_text())["benchmarks"][0]["stats"]
    latest = suite.runpytest("--benchmark-compare", "--benchmark-storage=runs", "--benchmark-group-by=fullname")
    latest.stdout.fnmatch_lines(["benchmark 'test_a.py::test_fast': 2 tests", "*", "*", "test_fast (*", "test_fast (*"])
    latest.stdout.fnmatch_lines(["test_fast (0002_unversi) *"])
    older = suite.runpytest("--benchmark-compare=0001", "--benchmark-storage=runs")
    older.stdout.fnmatch_lines(["test_fast (0001_one) *"])


def made_run(suite, factor):
    """A saved run that was so many times as fast as any."""
    suite.runpytest("--benchmark-save=one")
    (file,) = (suite.path / ".benchmarks").glob("*/*.json")
    content = json.loads(file.read_text())
    for one in content["benchmarks"]:
        for name in ("min", "max", "mean", "median"):
            one["stats"][name] *= factor
    file.write_text(json.dumps(content))
    return content


def test_a_benchmark_beyond_its_limit_is_a_failed_test(suite):
    made_run(suite, 1e-3)
    result = suite.runpytest("--benchmark-compare", "--benchmark-compare-fail=min:50%", "--junitxml=x.xml")
    assert result.ret == 1
    result.assert_outcomes(passed=2, failed=3)
    result.stdout.fnmatch_lines(
        ["slower than in the saved run 0001_one: min *s -> *s (*x), allowed: up to *s", "*pytest --perf-against=REV"]
    )
    assert (suite.path / "x.xml").read_text().count("<failure") == 3


def test_a_benchmark_within_its_limit_passes(suite):
    made_run(suite, 1e3)
    suite.runpytest("--benchmark-compare", "--benchmark-compare-fail=min:5%").assert_outcomes(passed=5)


def test_limits_against_nothing_are_not_green(suite):
    nothing = suite.runpytest("--benchmark-compare", "--benchmark-compare-fail=min:5%")
    assert nothing.ret == 4
    nothing.stderr.fnmatch_lines(["*no run in *.benchmarks was saved on this kind of machine; save one with: *"])
    content = made_run(suite, 1)
    (file,) = (suite.path / ".benchmarks").glob("*/*.json")
    file.write_text(json.dumps({**content, "benchmarks": []}))
    renamed = suite.runpytest("--benchmark-compare", "--benchmark-compare-fail=min:5%")
    assert renamed.ret == 5
    renamed.stdout.fnmatch_lines(["*no benchmark of this run is in the saved run: nothing was judged"])


def test_a_saved_run_that_cannot_be_read_is_told_at_once(suite):
    made_run(suite, 1)
    (file,) = (suite.path / ".benchmarks").glob("*/*.json")
    file.write_text("{}")
    result = suite.runpytest("--benchmark-compare")
    assert result.ret == 4
    result.stderr.fnmatch_lines(['*0001_one.json: it has no list "benchmarks"; give a file that*'])


def test_tables_plots_and_csv(suite):
    result = suite.runpytest(
        "--benchmark-columns=min,rounds", "--benchmark-sort=name", "--benchmark-group-by=func", "--benchmark-name=short",
        "--benchmark-time-unit=ns", "--benchmark-csv=out/x", "--benchmark-histogram=out/plot",
    )  # fmt: skip
    result.stdout.fnmatch_lines(
        ["benchmark 'test_fast': 1 test", "Name (time in ns) * Min  * Rounds", "*", "fast *", "",
         "benchmark 'test_sized': 2 tests", "*", "*", "sized?10? *", "sized?20? *"]
    )  # fmt: skip
    rows = list(csv.reader((suite.path / "out" / "x.csv").read_text().splitlines()))
    assert rows[0] == ["name", "param:size", "min", "rounds"]
    assert [row[:2] for row in rows[1:]] == [
        ["test_a.py::test_fast", ""],
        ["test_a.py::test_sized[10]", "10"],
        ["test_a.py::test_sized[20]", "20"],
    ]
    assert sorted(file.name for file in (suite.path / "out").glob("*.svg")) == [
        "plot-test_fast.svg",
        "plot-test_sized.svg",
    ]
    suite.runpytest("--benchmark-quiet").stdout.no_fnmatch_line("*= benchmarks =*")


@pytest.mark.parametrize(
    ("options", "message"),
    [
        (["--benchmark-sort=speed"], "--benchmark-sort: 'speed' is not a valid column to sort by (valid: min,*"),
        (["--benchmark-only", "--benchmark-disable"], "--benchmark-only: it excludes --benchmark-disable*"),
        (
            ["--benchmark-compare", "test_a.py"],
            "--benchmark-compare: 'test_a.py' is a test path that was read as the value*",
        ),
        (
            ["--benchmark-compare-fail", "min:5%", "test_a.py", "--benchmark-compare"],
            "--benchmark-compare-fail: 'test_a.py' is not a valid limit*",
        ),
    ],
)
def test_what_cannot_be_meant_is_a_usage_error(suite, options, message):
    result = suite.runpytest(*options)
    assert result.ret == 4
    result.stderr.fnmatch_lines([f"ERROR: {message}"])


@pytest.mark.plugins("xdist")
def test_beside_one_another_benchmarks_are_called_once(suite):
    """Under xdist; the controller says so."""
    result = suite.runpytest_subprocess("-n", "2", "--benchmark-json=x.json")
    result.assert_outcomes(passed=5)
    result.stdout.fnmatch_lines(
        ["perfguard: benchmarks were called once and not timed (3 of them)*perf modes measure them*"]
    )
    assert not (suite.path / "x.json").exists()
