"""`from pytest_benchmark.fixture import BenchmarkFixture`, which suites write for annotations and warning filters, where that
package is missing."""

from __future__ import annotations

import sys
from collections.abc import Mapping, Sequence
from importlib import import_module
from importlib.machinery import ModuleSpec
from types import ModuleType
from typing import Final

import pytest

#: The modules, what suites import from them, and where ours is.
_NAMES: Final[Mapping[str, Mapping[str, str]]] = {
    "pytest_benchmark": {"__version__": "pytest_perfguard.compat.exchange:VERSION"},
    "pytest_benchmark.fixture": {
        "BenchmarkFixture": "pytest_perfguard.compat.fixture",
        "FixtureAlreadyUsed": "pytest_perfguard.core.tool_errors",
    },
    "pytest_benchmark.plugin": {"BenchmarkFixture": "pytest_perfguard.compat.fixture"},
    "pytest_benchmark.stats": {
        "Metadata": "pytest_perfguard.compat.result:BenchmarkResult",
        "Stats": "pytest_perfguard.compat.stats",
    },
    "pytest_benchmark.logger": {
        "PytestBenchmarkWarning": "pytest_perfguard.plugin.benchmark.session:BenchmarkWarning",
    },
    "pytest_codspeed": {"BenchmarkFixture": "pytest_perfguard.compat.fixture"},
}


def offer_names(config: pytest.Config) -> None:
    """Until the end of the run; a package that is installed is found first."""
    finder = _Finder()
    sys.meta_path.append(finder)
    config.add_cleanup(finder.withdraw)


def is_stand_in(plugin: object) -> bool:
    """Is it one of these modules, which a conftest has named as a plugin?"""
    return isinstance(_loader(plugin), _Finder)


class _Finder:
    """The last one that Python asks."""

    def find_spec(
        self, fullname: str, path: Sequence[str] | None = None, target: ModuleType | None = None
    ) -> ModuleSpec | None:
        return ModuleSpec(fullname, self, is_package="." not in fullname) if fullname in _NAMES else None  # type: ignore[arg-type]  # a loader by what it can do

    def create_module(self, spec: ModuleSpec) -> None:
        """The default will do."""

    def exec_module(self, module: ModuleType) -> None:
        for name, place in _NAMES[module.__name__].items():
            source, _, ours = place.partition(":")
            setattr(module, name, getattr(import_module(source), ours or name))

    def withdraw(self) -> None:
        sys.meta_path.remove(self)
        for name in _NAMES:
            if _loader(sys.modules.get(name)) is self:
                del sys.modules[name]


def _loader(module: object) -> object:
    return getattr(getattr(module, "__spec__", None), "loader", None)
