"""README and docs are true: examples are executed, generated pages are compared with their source."""

from __future__ import annotations

import importlib.util
import re
import subprocess
import sys
from pathlib import Path

import pytest

from pytest_perfguard.core.model import Verdict
from pytest_perfguard.core.option_specs import OPTION_SPECS
from pytest_perfguard.plugin.options import MODES, SETUP
from tests.docs.documents import PAGES
from tests.repository import Repository

ROOT = Path(__file__).parents[2]
README = (ROOT / "README.md").read_text(encoding="utf-8")


def test_the_options_page_is_the_settings_table():
    """docs/make_options.py writes it."""
    path = ROOT / "docs" / "make_options.py"
    spec = importlib.util.spec_from_file_location("make_options", path)
    module = importlib.util.module_from_spec(spec)
    spec.loader.exec_module(module)
    assert (ROOT / "docs" / "options.md").read_text(encoding="utf-8") == module.page()


@pytest.mark.parametrize(
    "name",
    [
        "README.md",
        "CHANGELOG.md",
        "CONTRIBUTING.md",
        *(f"docs/{path.name}" for path in sorted((ROOT / "docs").glob("*.md"))),
    ],
)
def test_every_option_that_a_page_names_exists(name):
    flags = {knob.flag for knob in OPTION_SPECS if knob.option} | {mode.flag for mode in MODES.values()}
    flags |= {"--perf-child", SETUP.flag}  # the first is hidden
    text = (ROOT / name).read_text(encoding="utf-8")
    assert set(re.findall(r"--perf[a-z-]*", text)) <= flags


def test_the_benchmarks_that_pages_name_are_there():
    """The one whose tables are in docs/history.md prints the same lines."""
    named = {name for text in PAGES.values() for name in re.findall(r"python (benchmarks/\w+\.py)", text)}
    assert "benchmarks/drift.py" in named
    assert all((ROOT / name).exists() for name in named)
    command = [sys.executable, ROOT / "benchmarks" / "drift.py", "2"]
    output = subprocess.run(command, capture_output=True, text=True, check=True).stdout
    for line in ("nothing changes", "one step in the middle", "slow creep"):
        assert re.search(rf"^{line}.*:.* of 2\b", output, re.MULTILINE)


def test_the_readme_names_the_verdicts_of_the_code():
    named = set(re.findall(r"^\| `([a-z-]+)`", README, re.MULTILINE)) | {"unchanged", "improvement", "new", "missing"}
    assert {str(verdict) for verdict in Verdict} <= named


def test_the_readmes_example_is_a_suite_that_runs(pytester):
    example = next(block for block in re.findall(r"```python\n(.*?)```", README, re.DOTALL) if "mark.perf" in block)
    surroundings = """
import pytest

class Page:
    def render(self): pass

class Database:
    def fill(self): self.rows = list(range(10))
    def query(self, text): return self.rows

def parse(document): pass

document = pytest.fixture(lambda: "text")
page = pytest.fixture(lambda: Page())
database = pytest.fixture(lambda: Database())
"""
    pytester.makepyfile(surroundings + example)
    pytester.runpytest_subprocess("--strict-markers").assert_outcomes(passed=3)
    pytester.runpytest_subprocess("--perf", "--perf-budget=400ms").assert_outcomes(passed=3)


def test_the_readmes_example_of_memory_watch_runs(pytester):
    example = next(block for block in re.findall(r"```python\n(.*?)```", README, re.DOTALL) if "memory_watch" in block)
    pytester.makepyfile("lookup = {'key': 1}.get\n\ndef import_data(): pass\n\n" + example)
    pytester.runpytest_subprocess().assert_outcomes(passed=1)


@pytest.mark.plugins("asyncio")
def test_the_examples_of_the_page_on_leaks_run(pytester):
    fixture, manager = re.findall(r"```python\n(.*?)```", (ROOT / "docs" / "leaks.md").read_text(), re.DOTALL)
    pytester.makepyfile(test_leaks_page=fixture)
    pytester.runpytest_subprocess("-W", "ignore").assert_outcomes(passed=6)
    pytester.makepyfile(manager=manager)
    done = pytester.runpython("manager.py")
    done.stdout.fnmatch_lines(["MemoryStats(samples=*"])


def test_the_readmes_example_of_perf_monitor_runs(pytester):
    blocks = re.findall(r"```python\n(.*?)```", README, re.DOTALL)
    example = next(block for block in blocks if "perf_monitor.alert" in block)
    pytester.makepyfile("import pytest\n\nquery = parse_new = parse_old = len\ntext = 'text'\n\n" + example)
    pytester.runpytest_subprocess().assert_outcomes(passed=2)


def test_the_examples_of_the_page_on_the_monitor_run(pytester):
    (example,) = re.findall(r"```python\n(.*?)```", (ROOT / "docs" / "monitor.md").read_text(), re.DOTALL)
    pytester.makepyfile(example)
    pytester.runpytest_subprocess("-W", "ignore").assert_outcomes(passed=3)
    pytester.runpytest_subprocess("-W", "ignore", "--perf", "--perf-metrics=time").assert_outcomes(passed=3)


def test_the_examples_of_the_page_on_pools_run(pytester):
    example, drivers = re.findall(r"```python\n(.*?)```", (ROOT / "docs" / "pools.md").read_text(), re.DOTALL)
    pytester.makepyfile(example + drivers)
    pytester.runpytest_subprocess("-W", "ignore").assert_outcomes(passed=4)


def test_the_examples_of_the_page_on_caches_run(pytester):
    (example,) = re.findall(r"```python\n(.*?)```", (ROOT / "docs" / "caching.md").read_text(), re.DOTALL)
    pytester.makepyfile(example)
    pytester.runpytest_subprocess("-W", "ignore").assert_outcomes(passed=3)


def test_the_examples_of_the_page_on_start_up_run(pytester):
    (example,) = re.findall(r"```python\n(.*?)```", (ROOT / "docs" / "startup.md").read_text(), re.DOTALL)
    pytester.makepyfile(example)
    pytester.runpytest_subprocess("-W", "ignore").assert_outcomes(passed=3)


def test_the_examples_of_the_page_on_batches_and_streams_run(pytester):
    example, cache = re.findall(r"```python\n(.*?)```", (ROOT / "docs" / "processing.md").read_text(), re.DOTALL)
    pytester.makepyfile(example + cache)
    pytester.runpytest_subprocess("-W", "ignore").assert_outcomes(passed=4)


def test_the_examples_of_the_page_on_benchmarks_run(pytester):
    (example,) = re.findall(r"```python\n(.*?)```", (ROOT / "docs" / "benchmark.md").read_text(), re.DOTALL)
    pytester.makepyfile(example)
    pytester.runpytest_subprocess("-W", "ignore", "--strict-markers").assert_outcomes(passed=3)


def test_the_first_steps_lead_to_a_red_run(pytester):
    """The functions of the page in a repository: the slower one is so much slower that no noise hides it."""
    library, test, slower = re.findall(
        r"```python\n(.*?)```", (ROOT / "docs" / "first-steps.md").read_text(), re.DOTALL
    )
    repository = Repository(pytester.path)
    repository.commit({"wordlist.py": library, "test_wordlist.py": test})
    repository.write({"wordlist.py": slower})
    done = pytester.runpytest_subprocess("--perf-against=HEAD", "--perf-metrics=time")
    assert done.ret == 1
    done.stdout.fnmatch_lines(["FAILED test_wordlist.py::test_common_words - regression: time *"])


def test_the_page_on_explanations_shows_what_a_run_shows(pytester):
    """Its functions, in a repository: the line that names the cause, but for its figures."""
    page = (ROOT / "docs" / "explain.md").read_text()
    rules, prices, test, slower = re.findall(r"```python\n(.*?)```", page, re.DOTALL)
    told = next(line for line in page.splitlines() if line.endswith("; changed in this diff"))
    repository = Repository(pytester.path)
    repository.commit({"rules.py": rules, "prices.py": prices, "test_prices.py": test})
    repository.write({"prices.py": slower})
    result = pytester.runpytest_subprocess("--perf-against=HEAD", "--perf-metrics=time")
    assert result.ret == 1
    result.stdout.fnmatch_lines(["where the time went", re.sub(r"\+[\d.]+ us", "+* us", told)])


def test_the_two_commands_of_the_readme_are_one_line_each():
    commands = [line for line in README.splitlines() if line.startswith("python3 -m venv")]
    assert len(commands) == 2
    assert commands[0].endswith("/perfguard demo")
    assert commands[1].endswith("python -m pytest -n 3 --dist worksteal")
    assert 'python" -m pytest -q -n 3 --dist worksteal' in (ROOT / ".ci" / "run").read_text(), (
        "CI runs the same command"
    )
