"""What imports load and cost: the tree, the budgets, the fresh interpreters."""

from __future__ import annotations

import sys

import pytest

from pytest_perfguard import ImportBudgetError, ImportGroup, import_report
from pytest_perfguard.core.timing import Timing
from pytest_perfguard.tools.startup.import_budget import ImportBudget, ImportReport, violations
from pytest_perfguard.tools.startup.import_tree import chain_to, heaviest, parse_importtime
from pytest_perfguard.tools.startup.imports import FreshImport, check_import

SAID = """\
import time: self [us] | cumulative | imported package
import time:       100 |        100 |     vendor.fast
something that a module prints
import time:       200 |        300 |   vendor
import time:        50 |         50 |     json
import time:        40 |         90 |   app.core
import time:        10 |        400 | app
import time:         7 |          7 | other
"""
TREES = parse_importtime(SAID)


def report(seconds=0.01, modules=("app", "app.core", "json", "vendor", "vendor.fast"), trees=TREES):
    return ImportReport("app", seconds, seconds, modules, 1000, trees)


def test_the_interpreters_report_is_a_tree():
    app, other = TREES
    assert (app.name, app.own, app.total) == ("app", 10e-6, 400e-6)
    assert [child.name for child in app.children] == ["vendor", "app.core"]
    assert other.children == ()
    assert parse_importtime("nothing of the kind") == ()


def test_the_chain_says_who_imported_whom():
    assert chain_to(TREES, "json") == ("app", "app.core", "json")
    assert chain_to(TREES, "vendor") == ("app", "vendor")
    assert chain_to(TREES, "jso") == ()


def test_the_heaviest_branches_stand_below_their_importers():
    assert heaviest(TREES, 3) == ["  400 us  app", "  300 us    vendor", "  100 us      vendor.fast"]


@pytest.mark.parametrize(
    ("budget", "problems"),
    [
        (ImportBudget(max_time="10ms", max_modules=5, forbid=["asyncio"], lazy=["ssl"]), []),
        (ImportBudget(max_time="5ms"), ["it takes 10.0 ms, more than 5.00 ms, at best of 1"]),
        (ImportBudget(max_time=0.02), []),
        (ImportBudget(max_modules=4), ["it loads 5 modules, more than 4"]),
        (ImportBudget(forbid=["json"]), ["json is loaded, which is forbidden: app -> app.core -> json"]),
        (ImportBudget(lazy=["vendor"]), ["vendor is loaded at once, and should be on first use: app -> vendor"]),
        (ImportBudget(groups={"vendor": ImportGroup(["vendor"], max_time="300us", max_modules=2)}), []),
        (
            ImportBudget(groups={"vendor": ImportGroup(["vendor"], max_time="299us")}),
            ["group vendor: its modules take 300 us, more than 299 us"],
        ),
        (
            ImportBudget(groups={"deferred": ImportGroup(["json", "ssl"], max_modules=0)}),
            ["group deferred: it loads 1 modules, more than 0; such as app -> app.core -> json"],
        ),
    ],
)  # fmt: skip
def test_budgets(budget, problems):
    assert violations(budget, [report()]) == problems


def test_the_best_of_several_interpreters_counts():
    assert violations(ImportBudget(max_time="5ms"), [report(0.01), report(0.004), report(0.02)]) == []


@pytest.fixture
def package(tmp_path, monkeypatch):
    monkeypatch.syspath_prepend(tmp_path)
    folder = tmp_path / "perfguard_sample"
    folder.mkdir()
    (folder / "__init__.py").write_text("from perfguard_sample import heavy\nprint('noise')\n")
    (folder / "heavy.py").write_text("import wave\n")
    return folder


def test_a_planted_heavy_import_is_found_and_its_chain_named(package):
    found = import_report("perfguard_sample")
    assert {"perfguard_sample", "perfguard_sample.heavy", "wave"} <= set(found.modules)
    assert chain_to(found.trees, "wave") == ("perfguard_sample", "perfguard_sample.heavy", "wave")
    assert 0 < found.seconds < 60
    assert found.code_bytes > 1000
    with pytest.raises(ImportBudgetError) as caught:
        check_import(FreshImport("perfguard_sample"), ImportBudget(forbid=["wave"]))
    assert str(caught.value) == (
        "import perfguard_sample:\n"
        "    wave is loaded, which is forbidden: perfguard_sample -> perfguard_sample.heavy -> wave"
    )
    assert "perfguard_sample" not in sys.modules


def test_what_is_to_be_lazy_must_be_there(package):
    with pytest.raises(ImportBudgetError, match="nowhere_at_all is to be loaded on first use, and is not installed"):
        check_import(FreshImport("perfguard_sample"), ImportBudget(lazy=["nowhere_at_all"]))


def test_a_budget_of_time_is_passed_if_no_interpreter_keeps_it(package):
    (package / "heavy.py").write_text("import time\ntime.sleep(0.02)\n")
    with pytest.raises(ImportBudgetError, match="more than 10.0 ms, at best of 15"):
        check_import(FreshImport("perfguard_sample"), ImportBudget(max_time="10ms"))


def test_the_import_alone_is_timed(package):
    (package / "heavy.py").write_text("import time\ntime.sleep(0.02)\n")
    timing, last = FreshImport("perfguard_sample").time_itself(2)
    assert isinstance(timing, Timing)
    assert timing.cpu_includes_children
    assert timing.wall_ns >= 40_000_000
    assert timing.cpu_ns < timing.wall_ns
    assert last.module == "perfguard_sample"


def test_what_cannot_be_imported_is_told_with_the_reason(package):
    (package / "heavy.py").write_text("import nowhere_at_all\n")
    with pytest.raises(ImportError, match="No module named 'nowhere_at_all'"):
        import_report("perfguard_sample")
    with pytest.raises(ValueError, match="not the name of a module"):
        FreshImport("os; print()")


def test_an_isolated_interpreter_finds_what_is_installed(package):
    assert "json.decoder" in import_report("json", isolated=True).modules
    with pytest.raises(ImportError, match="perfguard_sample"):
        import_report("perfguard_sample", isolated=True)


def test_modules_may_write_start_processes_and_load_much(package):
    (package / "heavy.py").write_text(
        "import subprocess, sys, types\n"
        "sys.stderr.write('x' * 200_000)\n"
        "subprocess.Popen(['sleep', '20'])\n"
        "for number in range(3000):\n"
        "    sys.modules[f'made_{number}'] = types.ModuleType(f'made_{number}')\n"
        "import wave\n"
    )
    found = import_report("perfguard_sample")
    assert len(found.modules) > 3000
    assert chain_to(found.trees, "wave") == ("perfguard_sample", "perfguard_sample.heavy", "wave")


def test_what_is_imported_by_name_is_in_the_tree(package):
    (package / "heavy.py").write_text("import importlib\nimportlib.import_module('colorsys')\n")
    found = import_report("perfguard_sample")
    assert chain_to(found.trees, "colorsys") == ("perfguard_sample", "perfguard_sample.heavy", "colorsys")


@pytest.mark.parametrize(
    ("text", "how"), [("import sys; sys.exit(3)", "status 3"), ("import os; os.kill(os.getpid(), 9)", "signal 9")]
)
def test_an_import_that_ends_the_interpreter_is_told(package, text, how):
    (package / "heavy.py").write_text(text)
    with pytest.raises(ImportError, match=how):
        import_report("perfguard_sample")


def test_odd_modules_are_counted(package):
    (package / "heavy.py").write_text(
        "import sys\n"
        "class Odd:\n    def __getattr__(self, name):\n        raise ImportError(name)\n"
        "sys.modules['odd'] = Odd()\nsys.modules['none'] = None\n"
    )
    modules = import_report("perfguard_sample").modules
    assert "odd" in modules
    assert "none" not in modules


@pytest.mark.parametrize(
    ("make", "error"),
    [
        (lambda: ImportBudget(forbid="socket"), TypeError),
        (lambda: ImportBudget(lazy="socket"), TypeError),
        (lambda: ImportGroup("socket"), TypeError),
        (lambda: ImportBudget(max_time=-3), ValueError),
        (lambda: ImportBudget(max_time=float("nan")), ValueError),
        (lambda: ImportBudget(max_time="3 apples"), ValueError),
        (lambda: ImportBudget(max_modules="3"), ValueError),
    ],
)
def test_wrong_budgets_are_told(make, error):
    with pytest.raises(error, match="socket|max_time|max_modules|apples"):
        make()


def test_what_every_interpreter_has_cannot_be_forbidden(package):
    with pytest.raises(ImportBudgetError, match="os is loaded by every interpreter here"):
        check_import(FreshImport("perfguard_sample"), ImportBudget(forbid=["os"]))
