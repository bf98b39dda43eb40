"""`perf_imports` and `--perf-setup` through the door."""

from __future__ import annotations

import json
import re

import pytest

from tests.repository import Repository

PACKAGE = {
    "mypkg/__init__.py": "from mypkg import core\n",
    "mypkg/core.py": "import json\n",
    "test_imports.py": """
import pytest

@pytest.mark.perf(budget="400ms")
def test_import(perf_imports):
    report = perf_imports("mypkg", forbid=["wave"])
    assert "json" in report.modules
    assert [tree.name for tree in report.trees] == ["mypkg"]
""",
}


def write(path, files):
    for name, text in files.items():
        (path / name).parent.mkdir(exist_ok=True)
        (path / name).write_text(text)


def test_a_planted_import_fails_every_run_and_is_named(pytester):
    write(pytester.path, PACKAGE)
    pytester.runpytest_subprocess("-q").assert_outcomes(passed=1)
    (pytester.path / "mypkg/core.py").write_text("import json\nimport wave\n")
    result = pytester.runpytest_subprocess("-q")
    result.assert_outcomes(failed=1)
    result.stdout.fnmatch_lines(["*wave is loaded, which is forbidden: mypkg -> mypkg.core -> wave"])
    assert "Traceback" not in result.stdout.str()
    assert "During handling" not in result.stdout.str()


def test_imports_are_recorded_and_compared(pytester):
    write(pytester.path, PACKAGE)
    pytester.runpytest_subprocess("--perf-baseline").assert_outcomes(passed=1)
    text = (pytester.path / "perf-baseline.json").read_text()
    for metric in ("time:mypkg", "cpu:mypkg", "value:mypkg/modules", "value:mypkg/code_bytes"):
        assert f'"{metric}"' in text
    assert '"memory:mypkg"' not in text
    # A module more, and the time of many imports.
    (pytester.path / "mypkg/core.py").write_text("import json\nimport time\nimport decimal\ntime.sleep(0.6)\n")
    report = pytester.path / "report.json"
    result = pytester.runpytest_subprocess("--perf-compare", f"--perf-report={report}")
    result.assert_outcomes(failed=1)
    (test,) = json.loads(report.read_text())["tests"]
    verdicts = {metric["name"]: metric["verdict"] for metric in test["metrics"]}
    assert verdicts["time:mypkg"] == "regression"
    assert {"value:mypkg/modules", "value:mypkg/code_bytes"} <= verdicts.keys()
    result.stdout.fnmatch_lines(["*imported now, and not when the baseline was recorded: *decimal*"])
    result.stdout.fnmatch_lines(["*import of mypkg, heaviest branches*", "* mypkg", "*   mypkg.core"])


@pytest.mark.thorough
def test_beside_a_revision_new_modules_are_named(pytester):
    repository = Repository(pytester.path)
    write(pytester.path, {**PACKAGE, "pytest.ini": "[pytest]\npythonpath = .\n"})
    repository.commit()
    (pytester.path / "mypkg/core.py").write_text("import json\nimport time\nimport colorsys\ntime.sleep(0.08)\n")
    result = pytester.runpytest_subprocess("--perf-against=HEAD")
    result.assert_outcomes(failed=1)
    result.stdout.fnmatch_lines(["*imported by the head only: colorsys"])


@pytest.mark.plugins("xdist")
@pytest.mark.parametrize("workers", [[], ["-n", "2"]])
def test_the_slowest_fixtures_are_listed(pytester, workers):
    pytester.makepyfile(
        """
        import time
        import pytest

        @pytest.fixture
        def slow():
            time.sleep(0.05)

        @pytest.fixture
        def quick(slow):
            pass

        @pytest.mark.parametrize("number", range(4))
        def test_it(quick, number):
            pass
        """
    )
    result = pytester.runpytest_subprocess("--perf-setup", *workers)
    result.assert_outcomes(passed=4)
    rows = [re.split(r"\s{2,}", line.strip()) for line in result.stdout.lines]
    (slow,) = [row for row in rows if row[0].startswith("slow (")]
    assert slow[1:3] == ["function", "4"]
    (quick,) = [row for row in rows if row[0].startswith("quick (")]
    assert quick[2] == "4"
    assert result.stdout.lines.index(next(line for line in result.stdout.lines if line.startswith("slow ("))) < (
        result.stdout.lines.index(next(line for line in result.stdout.lines if line.startswith("quick (")))
    )
    assert len([row for row in rows if "::test_it[" in row[0] and len(row) == 2]) >= 4
    assert not [row for row in rows if row[0].startswith("number (")]  # an argument is no fixture
