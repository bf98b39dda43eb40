"""Options, ini keys and marker keywords, each tried as a user writes them."""

from __future__ import annotations

import pytest

from pytest_perfguard.plugin.options import counted_metrics, ini_problems
from tests.plugin.conftest import WORK


@pytest.mark.parametrize(
    ("option", "text"),
    [
        ("--perf-threshold=5", "--perf-threshold: '5' is not a percentage such as 5%"),
        ("--perf-budget=5 parsecs", "--perf-budget: '5 parsecs' is not a duration"),
        ("--perf-floor=x", "--perf-floor: 'x' is neither a duration (50us) nor a size (1KB)"),
        (
            "--perf-metrics=speed",
            "--perf-metrics: unknown metric 'speed' (valid: time, cpu, memory, blocks, instructions)",
        ),
        ("--perf-report=x.docx", "--perf-report: 'x.docx' has no known report format"),
    ],
)
def test_a_wrong_option_is_a_usage_error_that_names_it(project, option, text):
    project.pytester.makepyfile(WORK)
    refusal = project.refusal("--perf", option)
    assert text in refusal
    assert "Traceback" not in refusal


def test_a_wrong_ini_key_is_a_usage_error_that_names_it(project):
    project.pytester.makeini("[pytest]\nperf_budget = soon\n")
    assert "perf_budget in the ini file: 'soon' is not a duration" in project.refusal("--perf")


def test_an_unknown_ini_key_is_answered_with_the_similar_one():
    assert list(ini_problems(["perf_treshold", "perf_max_time", "perf_zzz", "asyncio_mood"])) == [
        "unknown ini key perf_treshold; did you mean perf_threshold?",
        "unknown ini key perf_max_time: max_time is a keyword of the marker perf only",
        "unknown ini key perf_zzz",
    ]


@pytest.mark.parametrize(
    ("marker", "text"),
    [
        ("perf(treshold='5%')", "marker perf of test_x.py::test_it: unknown keyword 'treshold' (valid: threshold, "),
        ("perf('5%')", "marker perf of test_x.py::test_it: '5%' is a positional argument; use keywords"),
        ("perf(max_time=5)", "max_time in the marker perf of test_x.py::test_it: 5 is not a duration"),
        ("perf(setup=3)", "setup in the marker perf of test_x.py::test_it: 3 is not callable"),
        ("perf(setup=coroutine)", "is a coroutine function and the test is not"),
    ],
)
def test_a_wrong_marker_is_a_usage_error_that_names_test_and_choices(project, marker, text):
    project.pytester.makepyfile(
        test_x=f"import pytest\nasync def coroutine(): pass\n@pytest.mark.{marker}\ndef test_it(): pass\n"
    )
    assert text in project.refusal("--perf")


@pytest.mark.plugins("xdist")
def test_a_wrong_marker_is_a_usage_error_of_a_run_with_workers(project):
    project.pytester.makepyfile(test_x="import pytest\n@pytest.mark.perf(treshold='5%')\ndef test_it(): pass\n")
    result = project.run("--perf", "-n2")
    assert result.ret == 4
    assert "unknown keyword 'treshold' (valid: threshold, " in result.stderr.str() + result.stdout.str()


def test_a_wrong_marker_is_an_error_in_a_run_that_measures_nothing(project):
    project.pytester.makepyfile(
        "import pytest\n@pytest.mark.perf(treshold='5%')\ndef test_it(): pass\ndef test_other(): pass\n"
    )
    assert "unknown keyword 'treshold' (valid: threshold, " in project.refusal()


@pytest.mark.plugins("xdist")
def test_a_worker_of_xdist_fails_the_test_with_a_wrong_marker(project):
    project.pytester.makepyfile(
        "import pytest\n@pytest.mark.perf(max_time=5)\ndef test_it(): pass\ndef test_other(): pass\n"
    )
    result = project.run("-n1", short=False)
    result.assert_outcomes(passed=1, errors=1)
    result.stdout.fnmatch_lines(["max_time in the marker perf of *::test_it: 5 is not a duration*"])


def test_options_without_effect_are_named(project):
    project.pytester.makepyfile("def test_a(): pass")
    options = ("--perf-strict", "--perf-report=r.json", "--perf-threshold=5%")
    result = project.run(*options, "-q", short=False)
    assert result.ret == 0
    result.stdout.fnmatch_lines(
        [
            "perf: --perf-report, --perf-threshold, --perf-strict have no effect without a mode: --perf, --perf-baseline, "
            "--perf-compare or --perf-against"
        ]
    )
    assert "no effect" not in project.run("--perf", *options, short=False).stdout.str()
    assert "no effect" not in project.run("--perf-benchmark=once", short=False).stdout.str()


def test_a_wrong_value_is_a_usage_error_in_every_run(project):
    """Also where nothing is measured: the mistake is found where it is made."""
    project.pytester.makepyfile("def test_a(): pass")
    assert project.run("--perf-budget=soon", short=False).ret == 4
    project.pytester.makeini("[pytest]\nperf_strict = perhaps\n")
    result = project.run(short=False)
    assert result.ret == 4
    assert "perf_strict in the ini file: 'perhaps' is not a truth value" in result.stderr.str()


#: What TOML can write for our keys, and the settings that it leads to.
TOML = [
    ("perf_strict = true", {"strict": True}),
    ("perf_leaks = false", {"leaks": False}),
    ("perf_confirm = false", {"confirm": False}),
    ('perf_strict = "yes"', {"strict": True}),
    ("perf_strict = 1", {"strict": True}),
    ('perf_metrics = ["memory", "time"]', {"metrics": ("time", "memory")}),
    ('perf_metrics = "time,memory"', {"metrics": ("time", "memory")}),
    ('perf_paths = ["benchmarks/", "tests/test_speed.py"]', {"paths": ("benchmarks/", "tests/test_speed.py")}),
    ('perf_paths = "benchmarks/"', {"paths": ("benchmarks/",)}),
    ('perf_report = "one.json"', {"report": ("one.json",)}),
    ('perf_report = ["one.json", "two.md"]', {"report": ("one.json", "two.md")}),
    ("perf_report = []", {"report": ()}),
    ('perf_floor = ["1us", "1KB"]', {"floor": (1e-6, 1000)}),
    ('perf_base_command = ["{python}", "-m", "x y"]', {"base_command": "'{python}' -m 'x y'"}),
    ('perf_budget = "300ms"', {"budget": 0.3}),
]
WRONG_TOML = [
    ("perf_budget = 5", "perf_budget in the ini file: 5 is not a duration"),
    ("perf_threshold = 0.05", "perf_threshold in the ini file: 0.05 is not a percentage"),
    ("perf_strict = [true]", "perf_strict in the ini file: [True] is not a truth value"),
    ("perf_metrics = [[1]]", "perf_metrics in the ini file: [[1]] is not a list of metrics"),
    ("perf_metrics = true", "perf_metrics in the ini file: True is not a list of metrics"),
    ("perf_report = [1]", "perf_report in the ini file: [1] is not a path, or a list of paths"),
    ("perf_file = 2026-01-01", "perf_file in the ini file: datetime.date(2026, 1, 1) is not a path"),
    ('perf_file = "a\\u0000b"', "perf_file in the ini file: 'a\\x00b' contains a NUL character"),
    ("perf_benchmark = true", "perf_benchmark in the ini file: True is not a way to run a benchmark"),
    ("perf_redis_url = {a = 1}", "perf_redis_url in the ini file: {'a': 1} is not the URL"),
]


def _has_native_toml() -> bool:
    return tuple(map(int, pytest.__version__.split(".")[:1])) >= (9,)


@pytest.mark.parametrize(
    ("options", "metrics"),
    [((), ""), (("--perf-metrics=time",), ""), (("--perf-metrics=+instructions",), "+instructions")],
)
def test_only_metrics_with_instructions_are_part_of_recommended_commands(pytester, options, metrics):
    """Without them, a recording that a message recommends would lack the counts."""
    assert counted_metrics(pytester.parseconfig(*options)) == metrics


@pytest.mark.parametrize("table", ["tool.pytest", "tool.pytest.ini_options"])
@pytest.mark.parametrize(("line", "settings"), TOML, ids=[line for line, _settings in TOML])
def test_values_of_toml_files_have_their_own_types(pytester, table, line, settings):
    """`[tool.pytest]` of pytest 9, and the older table, which holds text and lists of text."""
    from pytest_perfguard.plugin.options import run_settings

    if table == "tool.pytest" and not _has_native_toml():
        pytest.skip("needs pytest 9")
    pytester.makepyprojecttoml(f"[{table}]\n{line}\n")
    found = run_settings(pytester.parseconfig())._asdict()
    assert {name: found[name] for name in settings} == settings


@pytest.mark.parametrize(("line", "text"), WRONG_TOML, ids=[line for line, _text in WRONG_TOML])
def test_a_wrong_type_in_a_toml_file_is_named(pytester, line, text):
    """With the key, the value and what is valid; never an error of pytest's about its own types."""
    from pytest_perfguard.plugin.options import run_settings

    if not _has_native_toml():
        pytest.skip("needs pytest 9")
    pytester.makepyprojecttoml(f"[tool.pytest]\n{line}\n")
    with pytest.raises(pytest.UsageError) as caught:
        run_settings(pytester.parseconfig())
    assert text in str(caught.value)


def test_the_command_line_overrides_a_toml_file(pytester):
    """`-o` is text in every case."""
    from pytest_perfguard.plugin.options import run_settings

    if not _has_native_toml():
        pytest.skip("needs pytest 9")
    pytester.makepyprojecttoml("[tool.pytest]\nperf_strict = true\nperf_metrics = ['time']\n")
    found = run_settings(pytester.parseconfig("-o", "perf_strict=off", "-o", "perf_metrics=memory"))
    assert (found.strict, found.metrics) == (False, ("memory",))


def test_every_option_is_also_an_ini_key(project):
    project.pytester.makepyfile(WORK)
    project.pytester.makeini(
        """
        [pytest]
        perf_file = perf/base.json
        perf_report =
            one.json
            two.json
        perf_budget = 300ms
        perf_metrics = time,memory
        perf_threshold = 900%
        perf_floor = 1ms,1MB
        perf_strict = false
        perf_treshold = 1%
        """
    )
    (project.path / "perf").mkdir()
    result = project.run("--perf-baseline", short=False)
    assert result.ret == 0
    assert "perf: unknown ini key perf_treshold; did you mean perf_threshold?" in result.outlines
    assert (project.path / "perf" / "base.json").exists()
    assert (project.path / "one.json").read_text() == (project.path / "two.json").read_text()
    assert project.run("--perf-compare", short=False).ret == 0


def test_the_marker_of_a_function_beats_that_of_its_module_keyword_by_keyword(project):
    project.pytester.makepyfile(
        """
        import time
        import pytest

        pytestmark = pytest.mark.perf(max_time="1ns", metrics="time")

        def test_over():
            time.sleep(0.001)

        @pytest.mark.perf(max_time="10s")
        def test_within():
            time.sleep(0.001)
        """
    )
    result, report = project.report("--perf")
    assert result.ret == 1
    result.assert_outcomes(passed=1, failed=1)
    assert report["summary"] == {"over-limit": 1, "measured": 1}
    assert all({metric["name"] for metric in test["metrics"]} <= {"time", "max_time"} for test in report["tests"])


@pytest.mark.thorough
def test_an_absolute_budget_fails_in_every_mode(project):
    project.pytester.makepyfile(
        """
        import pytest

        @pytest.mark.perf(max_memory="1MB")
        def test_hungry():
            bytes(2_000_000)
        """
    )
    for mode in ("--perf", "--perf-baseline", "--perf-compare"):
        result = project.run(mode)
        assert result.ret == 1, mode
        result.stdout.fnmatch_lines(["FAILED *test_hungry - over limit: max_memory 2.00 MB > 1.00 MB*"])


def test_a_path_after_a_mode_is_a_path(project):
    """No option takes an optional value, which would swallow it."""
    project.pytester.makepyfile(WORK)
    result = project.run("--perf", "--perf-strict", "test_a_path_after_a_mode_is_a_path.py")
    result.assert_outcomes(passed=1)


def test_paths_after_two_dashes_are_paths(project):
    project.pytester.makepyfile(test_x=WORK)
    project.run("--perf", "--", "test_x.py").assert_outcomes(passed=1)


@pytest.mark.every_plugin
def test_the_plugin_can_be_switched_off(project):
    project.pytester.makepyfile("def test_plain(): pass")
    result = project.run("-p", "no:perfguard", short=False)
    result.assert_outcomes(passed=1)
    assert project.run("-p", "no:perfguard", "--perf", short=False).ret == 4
