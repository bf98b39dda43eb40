"""What a command line asks for, limits, and where runs are saved."""

from __future__ import annotations

import pytest

from pytest_perfguard.compat.limits import Limit, parse_limit
from pytest_perfguard.compat.parsed_options import parse_options
from pytest_perfguard.compat.storage import (
    autosave_name,
    commit_info,
    file_of,
    machine_folder,
    machine_info,
    next_number,
    parse_save,
    saved_runs,
    source_name,
    storage_folder,
)
from pytest_perfguard.core.errors import SettingError
from tests.repository import Repository

#: As the options' table has them (plugin/benchmark/options.py).
DEFAULTS = {
    "min-time": "0.000005", "max-time": "1.0", "min-rounds": 5, "precision": None, "confidence": 0.99,
    "timer": "time.perf_counter", "calibration-precision": 10, "warmup": "auto", "warmup-iterations": 100000,
    "disable-gc": False, "skip": False, "disable": False, "enable": False, "only": False, "save": None,
    "autosave": False, "save-data": False, "json": None, "compare": [], "compare-fail": None, "cprofile": None,
    "cprofile-loops": 1, "cprofile-top": 25, "cprofile-dump": None,
    "storage": "file://./.benchmarks", "verbose": False, "quiet": False, "sort": "min", "group-by": "group",
    "columns": None, "name": "normal", "time-unit": None, "histogram": [], "csv": [], "codspeed": False,
    "codspeed-warmup-time": None, "codspeed-max-time": None, "codspeed-max-rounds": None,
}  # fmt: skip


def ask(path_like=lambda _text: False, **given):
    return parse_options(
        {**DEFAULTS, **{name.replace("_", "-"): value for name, value in given.items()}}, path_like=path_like
    )


def test_by_default_it_is_pytest_benchmark():
    asked = ask()
    assert (asked.measuring.min_time, asked.measuring.max_time, asked.measuring.min_rounds) == (5e-6, 1.0, 5)
    assert (asked.compare, asked.disabled, asked.skip, asked.limits) == (False, False, False, ())


def test_what_overrides_what():
    assert not ask(skip=True, only=True).skip
    assert not ask(disable=True, enable=True).disabled
    assert not ask(quiet=True, verbose=True).quiet
    assert ask(warmup=True).measuring.warmup
    assert ask(compare=True).compared is None
    assert ask(compare="0002").compared == "0002"
    assert ask(histogram=["a", "b"]).histogram == "b"


def test_codspeed_has_its_own_times():
    choices = ask(codspeed=True, codspeed_max_rounds="7").measuring
    assert (choices.max_time, choices.warmup_time, choices.min_rounds, choices.max_rounds) == (3.0, 1.0, 1, 7)
    assert ask(codspeed=True, codspeed_warmup_time="0", codspeed_max_time="2").measuring.warmup_time == 0


@pytest.mark.parametrize(
    ("given", "message"),
    [
        ({"max_time": "soon"}, "--benchmark-max-time: 'soon' is not a number of seconds"),
        ({"codspeed": True, "codspeed_max_rounds": "0"}, "--codspeed-max-rounds: '0' is too small"),
        ({"only": True, "disable": True}, "--benchmark-only: it excludes --benchmark-disable"),
        ({"compare_fail": ["min:5%"]}, "--benchmark-compare-fail: it needs --benchmark-compare"),
        (
            {"compare_fail": ["tests/"], "compare": True},
            "--benchmark-compare-fail: 'tests/' is not a valid limit (examples: min:5%",
        ),
        ({"save": "a/b"}, "--benchmark-save: 'a/b' cannot be part of a file name"),
        ({"sort": "x"}, "--benchmark-sort: 'x' is not a valid column to sort by"),
    ],
)
def test_a_wrong_value_is_told_with_its_option(given, message):
    with pytest.raises(SettingError) as caught:
        ask(**given)
    assert message in str(caught.value)


@pytest.mark.parametrize("name", ["compare", "histogram", "csv", "warmup"])
def test_a_test_path_that_an_option_swallowed_is_given_back_to_the_user(name):
    value = ["tests"] if name in ("histogram", "csv") else "tests"
    with pytest.raises(
        SettingError, match=f"'tests' is a test path.*write the path first, or --benchmark-{name}=VALUE"
    ):
        ask(path_like=lambda text: text == "tests", **{name: value})


@pytest.mark.parametrize(
    ("text", "limit"),
    [
        ("min:5%", Limit("min", 0.05)),
        ("mean:0.001", Limit("mean", seconds=0.001)),
        ("iqr:1e-3", Limit("iqr", seconds=1e-3)),
    ],
)
def test_limits_are_shares_or_seconds(text, limit):
    assert parse_limit(text) == limit


@pytest.mark.parametrize("text", ["min", "ops:5%", "min:x", "min:5%%", ""])
def test_other_limits_are_refused(text):
    with pytest.raises(SettingError, match="is not a valid limit"):
        parse_limit(text)


def test_a_limit_is_exceeded_by_more_than_it():
    assert Limit("min", 0.05).exceeded({"min": 1.05}, {"min": 1.0}) is None
    assert (
        Limit("min", 0.05).exceeded({"min": 1.1}, {"min": 1.0})
        == "min 1.00 s -> 1.10 s (+10.0 %), allowed: up to 1.05 s"
    )
    assert Limit("mean", seconds=0.5).exceeded({"mean": 1.4}, {"mean": 1.0}) is None
    assert Limit("stddev", 0.05).exceeded({"stddev": 1.0}, {"stddev": 0.0}).startswith("stddev 0 ns -> 1.00 s, allowed")


def test_runs_are_numbered_and_found_by_number_name_and_folder(tmp_path):
    assert next_number(tmp_path) == 1
    assert saved_runs(tmp_path, None) == []
    own, other = tmp_path / machine_folder(), tmp_path / "Other-CPython"
    for folder, name in ((own, "0001_first.json"), (own, "0003_third.json"), (other, "0002_second.json")):
        folder.mkdir(exist_ok=True)
        (folder / name).write_text("{}")
    assert next_number(tmp_path) == 4
    assert saved_runs(tmp_path, None) == [own / "0003_third.json"]
    assert saved_runs(tmp_path, "0001") == [own / "0001_first.json"]
    assert saved_runs(tmp_path, "*/000*") == [
        own / "0001_first.json",
        other / "0002_second.json",
        own / "0003_third.json",
    ]
    assert saved_runs(tmp_path, str(other / "0002_second.json")) == [other / "0002_second.json"]
    assert source_name(tmp_path, own / "0001_first.json") == "0001_first"
    assert source_name(tmp_path, other / "0002_second.json") == "Other-CPython/0002_second"


def test_only_folders_store_runs(tmp_path):
    assert storage_folder("file://./.benchmarks").as_posix() == ".benchmarks"
    assert storage_folder("runs").as_posix() == "runs"
    with pytest.raises(SettingError, match="is not a folder: perfguard saves runs as files"):
        storage_folder("elasticsearch+http://host/index")


@pytest.mark.parametrize("text", ["", "a:b"])
def test_a_name_is_part_of_a_files_name(text):
    with pytest.raises(SettingError):
        parse_save(text)


def test_files_are_called_after_groups():
    assert file_of("plots/run", None, ".svg").as_posix() == "plots/run.svg"
    assert file_of("run", "a group: 1/2", ".svg").as_posix() == "run-a_group_1_2.svg"


def test_the_commit_is_told_as_pytest_benchmark_does(tmp_path):
    repository = Repository(tmp_path / "project")
    commit = repository.commit({"a.txt": "1"})
    info = commit_info(tmp_path / "project")
    assert (info["id"], info["dirty"], info["branch"], info["project"]) == (commit, False, "main", "project")
    repository.write({"a.txt": "2"})
    assert (
        autosave_name(commit_info(tmp_path / "project"), "20260131_120000")
        == f"{commit}_20260131_120000_uncommitted-changes"
    )


def test_the_machine_is_told_as_pytest_benchmark_does():
    assert set(machine_info()) == {
        "node", "processor", "machine", "python_compiler", "python_implementation", "python_implementation_version",
        "python_version", "python_build", "release", "system", "cpu",
    }  # fmt: skip
