"""Stand-ins while pytest collects, `attach` for packages, priorities of import groups."""

from __future__ import annotations

import importlib
import sys

import pytest

from pytest_perfguard import ImportGroup
from pytest_perfguard.tools.startup.import_budget import ImportBudget, ImportReport, violations
from pytest_perfguard.tools.startup.import_tree import Imported


@pytest.mark.parametrize("options", [(), ("--doctest-modules",), ("--collect-only",), ("-n1", "-p", "xdist")])
def test_a_stand_in_stays_unimported_while_pytest_collects(pytester, options):
    pytester.makepyfile(
        """
        import sys
        from pytest_perfguard import LazyModuleLoader

        heavy = LazyModuleLoader().module("colorsys")
        from wave import open as opener

        class TestAll:
            lazy = heavy

            def test_not_imported_by_collecting(self):
                assert "colorsys" not in sys.modules
                assert heavy.rgb_to_hls(0, 0, 0) == (0, 0, 0)
                assert "colorsys" in sys.modules
        """
    )
    result = pytester.runpytest_subprocess("-p", "no:cacheprovider", *options)
    assert result.ret == 0
    if "--collect-only" not in options:
        result.assert_outcomes(passed=1)


@pytest.fixture
def package(tmp_path, monkeypatch):
    folder = tmp_path / "lazy_package"
    folder.mkdir()
    (folder / "__init__.py").write_text(
        "from pytest_perfguard import LazyModuleLoader\n"
        "loader = LazyModuleLoader()\n"
        "__getattr__, __dir__, __all__ = loader.attach(__name__, ['extra'], {'core': ['run', 'core']})\n"
    )
    (folder / "core.py").write_text("def run():\n    return 7\ndef core():\n    return 8\n")
    (folder / "extra.py").write_text("VALUE = 5\n")
    monkeypatch.syspath_prepend(tmp_path)
    importlib.invalidate_caches()
    yield importlib.import_module("lazy_package")
    for name in [name for name in sys.modules if name.partition(".")[0] == "lazy_package"]:
        del sys.modules[name]


def test_a_package_loads_its_parts_on_first_use(package):
    assert "lazy_package.core" not in sys.modules
    assert dir(package) == package.__all__ == ["core", "extra", "run"]
    assert package.run() == 7
    assert "lazy_package.extra" not in sys.modules
    assert package.extra.VALUE == 5
    assert package.core() == 8  # the function, although a submodule has its name
    from lazy_package import run

    assert run is package.run
    with pytest.raises(AttributeError, match="module 'lazy_package' has no attribute 'nothing'"):
        package.nothing  # noqa: B018
    assert package.loader.is_loaded("lazy_package.core")


def test_a_module_of_two_groups_counts_in_the_one_with_the_higher_priority():
    tree = Imported("app", 0.01, 0.06, (Imported("vendor", 0.02, 0.05, (Imported("vendor.critical", 0.03, 0.03),)),))
    report = ImportReport("app", 0.06, 0.06, ("app", "vendor", "vendor.critical"), 0, (tree,))

    def problems(priority):
        groups = {
            "vendor": ImportGroup(["vendor"], max_time="25ms", max_modules=1),
            "critical": ImportGroup(["vendor.critical"], max_time="25ms", priority=priority),
        }
        return [line.partition(":")[0] for line in violations(ImportBudget(groups=groups), [report])]

    assert problems(1) == ["group critical"]
    assert problems(0) == ["group vendor", "group vendor", "group critical"]
    assert problems(-1) == ["group vendor", "group vendor"]
