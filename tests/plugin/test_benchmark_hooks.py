"""pytest-benchmark's hooks, and who provides the fixture where other plugins are there, too."""

from __future__ import annotations

import json

import pytest

from pytest_perfguard.plugin.benchmark.options import BENCHMARK_OPTIONS, flag_of

SUITE = """
def test_it(benchmark):
    benchmark.pedantic(abs, (-1,), rounds=3)
"""

HOOKS = """
import pytest

def pytest_benchmark_scale_unit(config, unit, benchmarks, best, worst, sort):
    return ("x", 1.0) if unit == "seconds" else None

def pytest_benchmark_generate_machine_info(config):
    return {"machine": "made"}

def pytest_benchmark_update_machine_info(config, machine_info):
    machine_info["user"] = "me"

def pytest_benchmark_generate_commit_info(config):
    return {"id": "rev1", "dirty": False}

def pytest_benchmark_update_commit_info(config, commit_info):
    commit_info["message"] = "text"

@pytest.hookimpl(wrapper=True)
def pytest_benchmark_group_stats(config, benchmarks, group_by):
    groups = yield
    return [("made " + str(group), members) for group, members in groups]

@pytest.hookimpl(wrapper=True)
def pytest_benchmark_generate_json(config, benchmarks, include_data, machine_info, commit_info):
    for benchmark in benchmarks:
        benchmark.has_error = False
    return (yield)

def pytest_benchmark_update_json(config, benchmarks, output_json):
    output_json["added"] = [benchmark["name"] for benchmark in benchmarks]

def pytest_benchmark_compare_machine_info(config, benchmarksession, machine_info, compared_benchmark):
    benchmarksession.logger.warning("compared with " + compared_benchmark["machine_info"]["user"])
"""


def test_every_hook_is_called_where_it_applies(pytester):
    pytester.makeconftest(HOOKS)
    pytester.makepyfile(
        SUITE
        + """
def test_broken(benchmark):
    calls = iter([1, 1, 0])
    benchmark.pedantic(lambda: 1 / next(calls), rounds=5)
"""
    )
    result = pytester.runpytest("--benchmark-json=x.json", "--benchmark-save=one")
    result.assert_outcomes(passed=1, failed=1)
    result.stdout.fnmatch_lines(["benchmark 'made None': 2 tests", "Name (time in xs) *"])
    content = json.loads((pytester.path / "x.json").read_text())
    assert content["machine_info"] == {"machine": "made", "user": "me"}
    assert content["commit_info"] == {"id": "rev1", "dirty": False, "message": "text"}
    assert content["added"] == ["test_it", "test_broken"]
    assert [one["name"] for one in content["benchmarks"]] == ["test_it", "test_broken"]
    compared = pytester.runpytest("--benchmark-compare", "-k", "test_it")
    compared.stdout.fnmatch_lines(["perfguard: compared with me"])


def test_a_benchmark_that_failed_is_in_no_file(pytester):
    pytester.makepyfile(SUITE.replace("abs, (-1,)", "lambda: [].pop()") + SUITE.replace("test_it", "test_other"))
    pytester.runpytest("--benchmark-json=x.json").assert_outcomes(passed=1, failed=1)
    content = json.loads((pytester.path / "x.json").read_text())
    assert [one["name"] for one in content["benchmarks"]] == ["test_other"]


def test_another_machine_is_told(pytester):
    pytester.makepyfile(SUITE)
    pytester.runpytest("--benchmark-save=one")
    (file,) = (pytester.path / ".benchmarks").glob("*/*.json")
    content = json.loads(file.read_text())
    content["machine_info"]["node"] = "elsewhere"
    file.write_text(json.dumps(content))
    result = pytester.runpytest("--benchmark-compare")
    result.stdout.fnmatch_lines(
        ["perfguard: the saved run is from another machine or interpreter (node), so its times*"]
    )


@pytest.mark.parametrize("folder", [".", "sub"])
def test_a_conftest_with_hooks_is_valid_though_nothing_is_measured(pytester, folder):
    (pytester.path / folder).mkdir(exist_ok=True)
    (pytester.path / folder / "conftest.py").write_text(HOOKS)
    (pytester.path / folder / "test_a.py").write_text("def test_it():\n    pass\n")
    pytester.runpytest().assert_outcomes(passed=1)


#: What stands for pytest-benchmark: its options, its fixture, its hooks.
OTHER = f"""
import pytest

def pytest_addoption(parser):
    group = parser.getgroup("benchmark")
    for flag in {[flag_of(option) for option in BENCHMARK_OPTIONS if option.kind == "flag"]!r}:
        group.addoption(flag, action="store_true", default=False)

def pytest_addhooks(pluginmanager):
    class Hooks:
        def pytest_benchmark_update_json(self, config, benchmarks, output_json): ...
    pluginmanager.add_hookspecs(Hooks)

@pytest.fixture
def benchmark():
    return lambda function, *args: "other"
"""


@pytest.fixture
def others(pytester):
    """A folder with stand-ins for other plugins, and a test that says whose fixture it has."""
    pytester.makepyfile(
        **{
            "pytest_benchmark/__init__": "",
            "pytest_benchmark/plugin": OTHER,
            "pytest_codspeed/__init__": "",
            "pytest_codspeed/plugin": """
            import pytest

            def pytest_addoption(parser):
                parser.getgroup("x").addoption("--codspeed", action="store_true", default=False)

            @pytest.fixture
            def benchmark():
                return lambda function, *args: "other"
            """,
            "speed": "import pytest\n\n@pytest.fixture\ndef benchmark():\n    return lambda function, *args: 'other'\n",
            "test_who": """
            import os

            def test_who(benchmark):
                assert benchmark(str, "ours") == os.environ["WHO"]
            """,
        }
    )
    pytester.syspathinsert()
    return pytester


OURS, ANOTHERS = "pytest_perfguard.plugin", "pytest_benchmark.plugin"


@pytest.mark.parametrize(
    ("options", "conftest", "who"),
    [
        (["-p", ANOTHERS], "", "other"),
        (["-p", OURS, "-p", ANOTHERS], "", "other"),
        (["-p", ANOTHERS, "-p", OURS], "", "other"),
        ([], ANOTHERS, "other"),
        (["-p", f"no:{ANOTHERS}"], ANOTHERS, "ours"),
        ([], "", "ours"),
        (["-p", "pytest_codspeed.plugin"], "", "ours"),
        (["-p", "pytest_codspeed.plugin", "--codspeed"], "", "other"),
        (["-p", "speed"], "", "other"),
    ],
)
def test_the_fixture_is_ours_where_no_other_plugin_has_one(others, monkeypatch, options, conftest, who):
    monkeypatch.setenv("WHO", who)
    if conftest:
        others.makeconftest(f"pytest_plugins = [{conftest!r}]\n")
    others.runpytest_subprocess("--benchmark-disable", *options).assert_outcomes(passed=1)


@pytest.mark.parametrize(("also", "who"), [([], "ours"), (["-p", ANOTHERS], "other")])
def test_perfguard_may_be_loaded_by_a_conftest(others, monkeypatch, also, who):
    monkeypatch.setenv("PYTEST_DISABLE_PLUGIN_AUTOLOAD", "1")
    monkeypatch.delenv("PYTEST_PLUGINS", raising=False)
    monkeypatch.setenv("WHO", who)
    others.makeconftest(f"pytest_plugins = [{OURS!r}]\n")
    others.runpytest_subprocess("--benchmark-disable", *also).assert_outcomes(passed=1)


def test_an_active_codspeed_by_its_environment(others, monkeypatch):
    monkeypatch.setenv("CODSPEED_ENV", "1")
    monkeypatch.setenv("WHO", "other")
    others.runpytest_subprocess("-p", "pytest_codspeed.plugin", "--benchmark-disable").assert_outcomes(passed=1)


def test_options_of_a_conftest_stay_its_own(others, monkeypatch):
    monkeypatch.setenv("WHO", "ours")
    others.makeconftest(
        'def pytest_addoption(parser):\n    parser.addoption("--benchmark-skip", action="store_true")\n'
    )
    others.runpytest_subprocess("--benchmark-disable").assert_outcomes(passed=1)


@pytest.mark.plugins("xdist")
def test_the_workers_of_xdist_know_what_addopts_block(others, monkeypatch):
    monkeypatch.setenv("WHO", "ours")
    others.makeini(f"[pytest]\naddopts = -p no:{ANOTHERS} -n 1\n")
    others.makeconftest(f"pytest_plugins = [{ANOTHERS!r}]\n")
    others.runpytest_subprocess().assert_outcomes(passed=1)
