"""The composite action for GitHub, run as far as can be without the service: its scripts, with stand-ins for the programs."""

from __future__ import annotations

import os
import re
import shutil
import subprocess

import pytest
import yaml

from tests.docs.documents import ROOT

ACTION = yaml.safe_load((ROOT / "action.yml").read_text(encoding="utf-8"))
STEPS = {step["name"]: step for step in ACTION["runs"]["steps"]}
BASH = shutil.which("bash")
needs_bash = pytest.mark.skipif(BASH is None, reason="needs bash")


@pytest.fixture
def step(tmp_path):
    """Run a step's script in a folder where `git`, `gh` and `pytest` only write down their arguments."""
    programs = tmp_path / "programs"
    programs.mkdir()
    for name in ("git", "gh", "pytest"):
        script = programs / name
        answer = (
            f'cat "{tmp_path}/answer" 2>/dev/null || true'
            if name == "gh"
            else f"exit $(cat '{tmp_path}/{name}-status' 2>/dev/null || echo 0)"
        )
        script.write_text(f'#!{BASH}\nprintf "%s\\n" "{name} $*" >> "{tmp_path}/calls"\n{answer}\n')
        script.chmod(0o755)
    (tmp_path / "output").touch()

    def run(name, **environment):
        outer = {"PATH": f"{programs}{os.pathsep}{os.environ['PATH']}", "GITHUB_OUTPUT": str(tmp_path / "output")}
        command = [BASH, "-eo", "pipefail", "-c", STEPS[name]["run"]]
        done = subprocess.run(command, cwd=tmp_path, env={**outer, **environment}, check=False, timeout=60)
        calls = tmp_path / "calls"
        return done.returncode, calls.read_text().splitlines() if calls.exists() else []

    return run


def test_it_is_a_composite_action_whose_expressions_name_its_inputs():
    assert ACTION["runs"]["using"] == "composite"
    assert all("shell" in step for step in STEPS.values() if "run" in step)
    used = set(re.findall(r"inputs\.(\w+)", (ROOT / "action.yml").read_text(encoding="utf-8")))
    assert used == set(ACTION["inputs"])


@needs_bash
def test_a_pull_request_is_measured_against_its_merge_base(step, tmp_path):
    status, calls = step("Measure", ARGUMENTS="-m perf -x", BASE="", TARGET="main")
    assert status == 0
    assert calls[0] == "git fetch --quiet origin +refs/heads/main:refs/remotes/origin/main"
    assert calls[1].startswith("pytest -m perf -x --perf-against=merge-base:origin/main --perf-report=perf.html")
    assert (tmp_path / "output").read_text() == "status=0\n"


@needs_bash
def test_a_push_is_measured_against_the_commit_before(step):
    _status, calls = step("Measure", ARGUMENTS="-m perf", BASE="", TARGET="")
    assert calls[0].startswith("pytest -m perf --perf-against=HEAD~1 ")


@needs_bash
def test_a_red_run_still_posts_its_report_and_ends_red(step, tmp_path):
    (tmp_path / "pytest-status").write_text("1")
    status, _calls = step("Measure", ARGUMENTS="-m perf", BASE="main", TARGET="main")
    assert (status, (tmp_path / "output").read_text()) == (0, "status=1\n")
    assert step("Result", STATUS="1")[0] == 1


@needs_bash
@pytest.mark.parametrize(
    ("answer", "call"),
    [
        ("", "gh api --silent --method POST repos/o/r/issues/7/comments -F body=@perf-comment.md"),
        ("42\n43\n", "gh api --silent --method PATCH repos/o/r/issues/comments/42 -F body=@perf-comment.md"),
    ],
)
def test_one_comment_is_made_and_then_updated(step, tmp_path, answer, call):
    (tmp_path / "perf.md").write_text("# 1 regression\n")
    (tmp_path / "answer").write_text(answer)
    status, calls = step("Comment", NUMBER="7", REPOSITORY="o/r", GH_TOKEN="t")
    assert (status, calls[-1]) == (0, call)
    assert (tmp_path / "perf-comment.md").read_text() == "<!-- perfguard -->\n# 1 regression\n"


@needs_bash
def test_a_comment_that_may_not_be_written_is_a_warning(step, tmp_path):
    """As for a pull request from a fork, whose token only reads."""
    (tmp_path / "perf.md").write_text("# 1 regression\n")
    (tmp_path / "programs" / "gh").write_text(f"#!{BASH}\nexit 1\n")
    assert step("Comment", NUMBER="7", REPOSITORY="o/r", GH_TOKEN="t")[0] == 0


@needs_bash
def test_arguments_may_be_quoted_and_on_several_lines_and_are_never_executed(step):
    _status, calls = step("Measure", ARGUMENTS='-m "perf and not slow"\n-k $(touch stolen)*\n', BASE="main", TARGET="")
    assert calls[0].startswith("pytest -m perf and not slow -k $(touch stolen)* --perf-against=main ")
    status, calls = step("Measure", ARGUMENTS='-m "perf', BASE="main", TARGET="")
    assert (status, len(calls)) == (1, 1)


@needs_bash
def test_a_run_without_a_report_posts_nothing(step):
    assert step("Comment", NUMBER="7", REPOSITORY="o/r", GH_TOKEN="t") == (0, [])
