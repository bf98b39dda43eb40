"""The recipes for CI are valid files, the real command lines accept their commands, and the first one runs."""

from __future__ import annotations

import re

import pytest

from pytest_perfguard.cli import make_parser
from tests.docs.documents import PAGES, ROOT, blocks, commands
from tests.repository import Repository

yaml = pytest.importorskip("yaml", reason="the recipes are YAML: pip install pyyaml")
TEXTS = blocks(PAGES["ci.md"], "yaml")
FILES = [yaml.safe_load(text) for text in TEXTS]
#: YAML 1.1, which the parser speaks, reads the key `on` as true.
WORKFLOWS = [content for content in FILES if True in content]
GITLAB = [content for content in FILES if True not in content]


def steps_of(workflow):
    return [step for job in workflow["jobs"].values() for step in job["steps"]]


def scripts():
    """Return every script of every recipe."""
    found = [step["run"] for workflow in WORKFLOWS for step in steps_of(workflow) if "run" in step]
    for content in GITLAB:
        for job in content.values():
            found += [*job.get("before_script", []), *job["script"]]
    return found


def test_there_are_three_workflows_and_a_file_for_gitlab():
    assert (len(WORKFLOWS), len(GITLAB)) == (3, 1)


@pytest.mark.parametrize("workflow", WORKFLOWS, ids=lambda workflow: workflow["name"])
def test_a_workflow_has_the_form_that_github_requires(workflow):
    """Each step uses an action of a fixed version or runs a script, and has only keys that GitHub knows."""
    assert {*workflow} <= {"name", True, "permissions", "concurrency", "jobs"}
    assert {*workflow[True]} <= {"push", "pull_request", "schedule", "workflow_dispatch"}
    for job in workflow["jobs"].values():
        assert {"runs-on", "steps"} <= {*job} <= {"runs-on", "steps", "timeout-minutes"}
    for step in steps_of(workflow):
        assert ("uses" in step) != ("run" in step)
        assert {*step} <= {"name", "uses", "run", "with", "if"}
        assert re.fullmatch(r"actions/[a-z/-]+@v\d+", step.get("uses", "actions/x@v1"))


@pytest.mark.parametrize("workflow", WORKFLOWS, ids=lambda workflow: workflow["name"])
def test_a_workflow_fetches_the_history_that_it_needs(workflow):
    (checkout,) = [step for step in steps_of(workflow) if step.get("uses", "").startswith("actions/checkout")]
    assert checkout["with"]["fetch-depth"] == 0


def test_a_job_of_gitlab_has_the_form_that_gitlab_requires():
    (job,) = GITLAB[0].values()
    assert {*job} <= {"image", "rules", "variables", "before_script", "script", "allow_failure", "artifacts"}
    assert job["variables"]["GIT_DEPTH"] == "0"
    written = re.findall(r"--(?:junit-xml|perf-report|perf-metrics-file)=(\S+)", job["script"][0])
    kept = [*job["artifacts"]["paths"], *job["artifacts"]["reports"].values()]
    assert sorted(written) == sorted(kept), "artifacts are the files that were written"


def test_uploaded_files_are_files_that_were_written():
    for workflow in WORKFLOWS:
        steps = steps_of(workflow)
        text = " ".join(step.get("run", "") for step in steps)
        written = re.findall(r"--(?:junit-xml|perf-report|output)[= ](\S+)", text)
        uploads = [step["with"]["path"] for step in steps if "upload-artifact" in step.get("uses", "")]
        assert {path for upload in uploads for path in upload.split()} <= {*written}


def test_the_commands_of_perfguard_are_taken():
    found = [words for script in scripts() for words in commands(script, "perfguard")]
    assert len(found) == 2
    for arguments in found:
        make_parser().parse_args(arguments)  # exits where it does not know them


def test_the_commands_of_pytest_are_taken(pytester):
    """Options and their values: a wrong one ends pytest with status 4."""
    pytest.importorskip("prometheus_client")
    pytester.makepyfile("import pytest\n\n@pytest.mark.perf\ndef test_a(): pass\n")
    found = [words for script in scripts() for words in commands(script, "pytest")]
    assert len(found) == 4
    for arguments in found:
        done = pytester.runpytest_subprocess("--collect-only", *arguments)
        assert done.ret == 0, arguments


def test_the_extras_that_are_installed_exist():
    known = re.findall(r"^([a-z]+) = \[", (ROOT / "pyproject.toml").read_text(encoding="utf-8"), re.MULTILINE)
    used = {
        name for script in scripts() for names in re.findall(r"perfguard\[(.*?)\]", script) for name in names.split(",")
    }
    assert {"prometheus"} <= used <= {*known}


def test_the_first_recipe_on_a_repository_with_a_slower_branch(pytester, monkeypatch):
    """A hundred times slower, which no noise hides: red, with the report, the step summary and the annotation that the page promises."""
    origin = Repository(pytester.path / "origin")
    origin.write({"pytest.ini": "[pytest]\npythonpath = .\n"})
    origin.write({"library.py": "def work():\n    return sum(range(500))\n"})
    test = "import library\nimport pytest\n\n\n@pytest.mark.perf\ndef test_work():\n    library.work()\n"
    origin.commit({"tests/test_work.py": test})
    origin.git("clone", "-q", ".", "../checkout")
    checkout = Repository(pytester.path / "checkout")
    checkout.commit({"library.py": "def work():\n    return sum(range(50_000))\n"})
    (arguments,) = commands(
        next(step["run"] for step in steps_of(WORKFLOWS[0]) if "pytest" in step.get("run", "")), "pytest"
    )
    monkeypatch.chdir(checkout.path)
    monkeypatch.setenv("GITHUB_ACTIONS", "true")
    monkeypatch.setenv("GITHUB_WORKSPACE", str(checkout.path))
    monkeypatch.setenv("GITHUB_STEP_SUMMARY", str(pytester.path / "summary.md"))
    done = pytester.runpytest_subprocess("--perf-budget=400ms", "--perf-metrics=time", *arguments)
    assert done.ret == 1
    done.stdout.fnmatch_lines(["::error file=tests/test_work.py,line=5,title=*test_work::regression: time*"])
    assert "🔴 regression" in (pytester.path / "summary.md").read_text(encoding="utf-8")
    for name in ("perf.html", "perf.json", "perf-junit.xml"):
        assert "test_work" in (checkout.path / name).read_text(encoding="utf-8")
