"""The files for contributors: they parse, and the commands and paths that they name exist."""

from __future__ import annotations

import configparser
import os
import re
import shlex
import shutil
import sys
from pathlib import Path

import pytest

from tests.docs.documents import PAGES, ROOT, blocks

yaml = pytest.importorskip("yaml", reason="the files are YAML: pip install pyyaml")

GUIDE = (ROOT / "CONTRIBUTING.md").read_text(encoding="utf-8")
ARCHITECTURE = PAGES["architecture.md"]
PYPROJECT = (ROOT / "pyproject.toml").read_text(encoding="utf-8")
FORMS = sorted((ROOT / ".github" / "ISSUE_TEMPLATE").glob("*.yml"))


def load(path):
    return yaml.safe_load((ROOT / path).read_text(encoding="utf-8"))


def commands_of(text):
    """Return each command of the fenced shell blocks as words; a chain gives several."""
    lines = [
        line.strip()
        for block in re.findall(r"^ *```sh\n(.*?)^ *```", text, re.DOTALL | re.MULTILINE)
        for line in block.splitlines()
    ]
    return [shlex.split(part) for line in filter(None, lines) for part in line.split(" && ")]


def test_the_workflow_runs_what_ci_runs_on_every_python():
    workflow = load(".github/workflows/ci.yml")
    (job,) = workflow["jobs"].values()
    versions = re.findall(r'"Programming Language :: Python :: (3\.\d+)"', PYPROJECT)
    assert job["strategy"]["matrix"]["python"] == versions
    assert {*workflow[True]} == {"push", "pull_request"}, (
        "YAML 1.1, which the parser speaks, reads the key `on` as true"
    )
    used = [step["uses"] for step in job["steps"] if "uses" in step]
    assert all(re.fullmatch(r"actions/[a-z-]+@v\d+", action) for action in used)
    assert [step["run"] for step in job["steps"] if "run" in step] == [".ci/run"]
    assert os.access(ROOT / ".ci" / "run", os.X_OK)


def test_the_hooks_for_commits_are_checks_of_ci():
    (repository,) = load(".pre-commit-config.yaml")["repos"]
    assert repository["repo"] == "local"
    script = (ROOT / ".ci" / "run").read_text(encoding="utf-8")
    for hook in repository["hooks"]:
        assert {"id", "name", "entry", "language"} <= {*hook}
        assert f"bin/{hook['entry'].removesuffix(' --fix')}" in script.replace('"', "")


@pytest.mark.parametrize("path", FORMS, ids=lambda path: path.name)
def test_an_issue_template_has_the_form_that_github_requires(path):
    form = load(path)
    if path.name == "config.yml":
        assert {*form} <= {"blank_issues_enabled", "contact_links"}
        return
    assert {"name", "description", "body"} <= {*form} <= {"name", "description", "labels", "title", "body"}
    names = [field["id"] for field in form["body"]]
    assert len(names) == len(set(names))
    for field in form["body"]:
        assert field["type"] in {"textarea", "input", "dropdown", "checkboxes"}
        assert field["attributes"]["label"]
        assert field["type"] != "dropdown" or field["attributes"]["options"]


def test_there_are_templates_for_issues_and_for_pull_requests():
    assert {"bug.yml", "verdict.yml", "idea.yml", "config.yml"} == {path.name for path in FORMS}
    assert "- [ ]" in (ROOT / ".github" / "pull_request_template.md").read_text(encoding="utf-8")


def test_the_guide_sets_up_in_one_command():
    first = blocks(GUIDE, "sh")[0].splitlines()
    assert len(first) == 1
    assert "pip install -q -e '.[test]'" in first[0]


@pytest.mark.parametrize("words", commands_of(GUIDE), ids=" ".join)
def test_a_command_of_the_guide_exists(words):
    """Its program comes with Python or with the extra `test`; the files that it names are there."""
    program, *arguments = words
    if program.startswith(".venv/bin/"):
        name = program.removeprefix(".venv/bin/")
        if name not in {"python", "pip"}:
            pytest.importorskip(name.partition("-")[0], reason="comes with the extra test")
            assert shutil.which(name, path=str(Path(sys.executable).parent))
    else:
        assert program == "python3"
    named = [word for word in arguments if "/" in word and not word.startswith(("-", ".venv", "build/"))]
    assert all((ROOT / word).exists() for word in named)


@pytest.mark.parametrize("name", sorted(set(re.findall(r"tox -e ([\w-]+)", GUIDE))))
def test_an_environment_of_tox_that_the_guide_names_exists(name):
    config = configparser.ConfigParser(interpolation=None)
    config.read(ROOT / "tox.ini")
    known = config["tox"]["env_list"].split()
    versions = "310,311,312,313,314"
    spread = [entry.replace(f"{{{versions}}}", version) for entry in known for version in versions.split(",")]
    assert name in spread


def test_every_path_that_the_guide_names_exists():
    named = set(re.findall(r"`((?:pytest_perfguard|tests|docs|benchmarks|\.ci)/[\w./]*)`", GUIDE))
    assert len(named) > 20
    assert not [path for path in sorted(named) if not (ROOT / path).exists()]
    for target in re.findall(r"\]\(([^)#:\s]+)(?:#[^)]*)?\)", GUIDE):
        assert (ROOT / target).exists(), target


def test_every_module_that_the_text_of_the_architecture_names_exists():
    package = ROOT / "pytest_perfguard"
    named = set(re.findall(r"`((?:core|engine|tools|plugin|compat|cli)/[\w/]+\.py)`", ARCHITECTURE))
    assert len(named) > 10
    assert not [path for path in sorted(named) if not (package / path).exists()]


@pytest.mark.parametrize("wing", ["engine", "tools"])
def test_the_architecture_lists_every_folder_of_a_wing(wing):
    (listed,) = re.findall(rf"^### {wing}\n\n```\n(.*?)^```", ARCHITECTURE, re.DOTALL | re.MULTILINE)
    folders = {path.parent.name for path in (ROOT / "pytest_perfguard" / wing).glob("*/__init__.py")}
    assert folders <= set(re.findall(r"^(\w+)/", listed, re.MULTILINE))


def test_the_architecture_states_the_import_law_that_is_tested():
    law = "core <- {engine, tools} <- compat <- {plugin, cli}"
    assert law in ARCHITECTURE
    assert law in (ROOT / "tests" / "test_layers.py").read_text(encoding="utf-8")
