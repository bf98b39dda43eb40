"""`from pytest_benchmark.fixture import BenchmarkFixture`, which suites write for annotations, where that package is missing."""

from __future__ import annotations

import sys
from collections.abc import Sequence
from importlib.machinery import ModuleSpec
from types import ModuleType
from typing import Final

import pytest

#: The modules, and what suites import from them. Nothing that could be loaded as a plugin.
_NAMES: Final = {
    "pytest_benchmark": (),
    "pytest_benchmark.fixture": ("BenchmarkFixture", "FixtureAlreadyUsed"),
    "pytest_codspeed": ("BenchmarkFixture",),
}


def offer_names(config: pytest.Config) -> None:
    """Until the end of the run; a package that is installed is found first."""
    finder = _Finder()
    sys.meta_path.append(finder)
    config.add_cleanup(finder.withdraw)


class _Finder:
    """The last one that Python asks."""

    def find_spec(
        self, fullname: str, path: Sequence[str] | None = None, target: ModuleType | None = None
    ) -> ModuleSpec | None:
        return ModuleSpec(fullname, self, is_package="." not in fullname) if fullname in _NAMES else None  # type: ignore[arg-type]  # a loader by what it can do

    def create_module(self, spec: ModuleSpec) -> None:
        """The default will do."""

    def exec_module(self, module: ModuleType) -> None:
        from pytest_perfguard import compat

        for name in _NAMES[module.__name__]:
            setattr(module, name, getattr(compat, name))

    def withdraw(self) -> None:
        sys.meta_path.remove(self)
        for name in _NAMES:
            if getattr(getattr(sys.modules.get(name), "__spec__", None), "loader", None) is self:
                del sys.modules[name]
