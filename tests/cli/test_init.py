"""`perfguard init`: what a project lacks is written, and nothing is overwritten."""

from __future__ import annotations

import re

import pytest
import yaml

from pytest_perfguard.cli.init import planned
from tests.docs.documents import PAGES, blocks
from tests.repository import Repository


def paths(folder, system=None):
    return [change.path for change in planned(folder, system, "tests")]


def test_an_empty_folder_gets_settings_a_lock_to_ignore_and_a_test(command):
    status, out, _err = command.run("init", "--yes", "--ci=none")
    assert status == 0
    assert (command.path / "pytest.ini").read_text() == "[pytest]\nperf_threshold = 5%\n"
    assert (command.path / ".gitignore").read_text() == ".perf-baseline.json.lock\n"
    assert "mark.perf" in (command.path / "tests" / "test_performance.py").read_text()
    assert out.splitlines()[-1] == "Next: pytest --perf to look, pytest --perf-baseline to record"


def test_a_second_time_nothing_is_lacking(command):
    command.run("init", "--yes", "--ci=github")
    assert command.run("init", "--yes", "--ci=github") == (0, "nothing is lacking\n", "")


def test_settings_go_below_the_head_of_the_section_that_pytest_reads(tmp_path):
    text = '[project]\nname = "x"\n\n[tool.pytest.ini_options]\naddopts = "-q"\n'
    (tmp_path / "pyproject.toml").write_text(text)
    (change,) = [change for change in planned(tmp_path, None, "tests") if change.path == "pyproject.toml"]
    head = "[tool.pytest.ini_options]\n"
    assert change.text == text.replace(head, f'{head}perf_threshold = "5%"\n')


def test_a_project_file_without_a_section_gets_one_at_its_end(tmp_path):
    (tmp_path / "pyproject.toml").write_text('[project]\nname = "x"')
    (change,) = [change for change in planned(tmp_path, None, "tests") if change.path == "pyproject.toml"]
    assert change.text == '[project]\nname = "x"\n\n[tool.pytest.ini_options]\nperf_threshold = "5%"\n'


@pytest.mark.parametrize(
    ("name", "before", "after"),
    [
        ("pytest.ini", "[pytest]  ; ours\naddopts = -q\n", "[pytest]  ; ours\nperf_threshold = 5%\naddopts = -q\n"),
        ("pytest.ini", "# defaults\n", "# defaults\n\n[pytest]\nperf_threshold = 5%\n"),
        (".pytest.ini", "[pytest]\n", "[pytest]\nperf_threshold = 5%\n"),
        ("pytest.toml", "[pytest]", '[pytest]\nperf_threshold = "5%"\n'),
        ("pyproject.toml", "[tool.pytest]\na = 1\n", '[tool.pytest]\nperf_threshold = "5%"\na = 1\n'),
        ("pyproject.toml", "[tool.pytest.ini_options] # x\n", '[tool.pytest.ini_options] # x\nperf_threshold = "5%"\n'),
        ("tox.ini", "[tox]\r\n[pytest]\r\na = b\r\n", "[tox]\r\n[pytest]\r\nperf_threshold = 5%\r\na = b\r\n"),
    ],
)
def test_settings_go_into_the_file_that_pytest_reads_and_no_line_of_it_changes(command, name, before, after):
    (command.path / name).write_bytes(before.encode())
    command.run("init", "--yes", "--ci=none")
    assert (command.path / name).read_bytes().decode() == after
    assert sorted(path.name for path in command.path.iterdir()) == sorted([name, ".gitignore", "tests"])


def test_a_section_in_another_notation_is_left_alone(tmp_path):
    (tmp_path / "pyproject.toml").write_text('[tool]\npytest.ini_options.addopts = "-q"\n')
    assert paths(tmp_path) == [".gitignore", "tests/test_performance.py"]


def test_tests_of_other_projects_are_not_read(tmp_path):
    for name in ("venv/lib", "node_modules/a"):
        (tmp_path / name).mkdir(parents=True)
        (tmp_path / name / "test_a.py").write_bytes(b"@pytest.mark.perf \xff")
    (tmp_path / "venv" / "pyvenv.cfg").touch()
    assert "tests/test_performance.py" in paths(tmp_path)


def test_nothing_is_written_where_the_folder_of_tests_is_a_file(command):
    (command.path / "tests").touch()
    assert command.run("init", "--yes")[::2] == (4, "perfguard: --tests: tests is a file; name a folder\n")
    assert [path.name for path in command.path.iterdir()] == ["tests"]


@pytest.mark.parametrize("name", ["pytest.ini", "tox.ini"])
def test_a_setting_of_ours_is_left_as_it_is(tmp_path, name):
    (tmp_path / name).write_text("[pytest]\nperf_threshold = 10%\n")
    assert paths(tmp_path) == [".gitignore", "tests/test_performance.py"]


def test_a_marked_test_is_a_first_test(tmp_path):
    (tmp_path / "test_a.py").write_text("@pytest.mark.perf\ndef test_a(): pass\n")
    assert "tests/test_performance.py" not in paths(tmp_path)


def test_existing_files_are_never_overwritten(command):
    folder = command.path / "tests"
    folder.mkdir()
    (folder / "test_performance.py").write_text("mine\n")
    (command.path / ".gitignore").write_text("build/")
    command.run("init", "--yes", "--ci=none")
    assert (folder / "test_performance.py").read_text() == "mine\n"
    assert (command.path / ".gitignore").read_text() == "build/\n.perf-baseline.json.lock\n"


def test_a_file_that_cannot_be_read_is_left_alone(command):
    (command.path / "pytest.ini").write_bytes(b"[pytest]\n\xff\n")
    status, _out, err = command.run("init", "--yes")
    assert (status, "pytest.ini cannot be read" in err) == (4, True)
    assert (command.path / "pytest.ini").read_bytes() == b"[pytest]\n\xff\n"


def test_it_asks_only_at_a_terminal(command):
    status, _out, err = command.run("init")
    assert (status, "use --yes or --dry-run" in err) == (4, True)
    assert not (command.path / "pytest.ini").exists()


@pytest.mark.parametrize(("answer", "status"), [("", 0), ("y", 0), ("n", 1)])
def test_what_is_answered_decides(command, monkeypatch, answer, status):
    monkeypatch.setattr("sys.stdin.isatty", lambda: True)
    monkeypatch.setattr("builtins.input", lambda _question: answer)
    assert command.run("init")[0] == status
    assert (command.path / "pytest.ini").exists() is (status == 0)


def test_a_dry_run_writes_nothing(command):
    status, data = command.json("init", "--dry-run", "--ci=gitlab")
    assert status == 0
    assert [file["path"] for file in data["files"]][-1] == ".gitlab/performance.yml"
    assert list(command.path.iterdir()) == []


@pytest.mark.parametrize(
    ("remote", "path"),
    [
        ("https://github.com/x/y.git", ".github/workflows/performance.yml"),
        ("git@gitlab.com:x/y.git", ".gitlab/performance.yml"),
    ],
)
def test_the_remote_chooses_the_workflow(command, remote, path):
    Repository(command.path).git("remote", "add", "origin", remote)
    _status, data = command.json("init", "--dry-run")
    assert data["files"][-1]["path"] == path


@pytest.mark.parametrize("system", ["github", "gitlab"])
def test_a_workflow_is_what_the_system_reads(tmp_path, system):
    change = list(planned(tmp_path, system, "tests"))[-1]
    assert "pytest -m perf --perf-against=" in str(yaml.safe_load(change.text))


def test_the_workflow_for_github_is_the_one_of_the_docs(tmp_path):
    change = list(planned(tmp_path, "github", "tests"))[-1]
    first = blocks(PAGES["ci.md"], "yaml")[0]
    install = r"run: pip install -e .*"
    assert re.sub(install, "", change.text) == re.sub(install, "", first)
