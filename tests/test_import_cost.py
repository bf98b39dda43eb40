"""What our own import may cost: we ask it of others."""

from __future__ import annotations

import pytest

from pytest_perfguard import ImportGroup

HEAVY = ["scipy", "numpy", "psutil", "tabulate", "filelock", "hypothesis", "redis", "sqlite3", "multiprocessing"]


@pytest.mark.perf
def test_the_package_loads_nothing_but_itself(perf_imports):
    perf_imports(
        "pytest_perfguard", max_modules=3, max_time="100ms", forbid=[*HEAVY, "asyncio", "pytest", "dataclasses"]
    )


@pytest.mark.perf
def test_the_plugin_adds_a_few_small_modules_to_pytest(perf_imports):
    own = ImportGroup(["pytest_perfguard"], max_modules=20, max_time="100ms")
    perf_imports("pytest_perfguard.plugin", forbid=HEAVY, groups={"perfguard": own})
