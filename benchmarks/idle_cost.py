"""Measure the cost of an installed plugin in a run that measures nothing: CPU time of pytest with one plugin each.

The same suite of 50 trivial tests runs under bare pytest and with each plugin alone (automatic loading is off, the plugin is
named with -p). The runs alternate, so that changes of the machine's speed affect all of them. Prints the median CPU seconds and
the median of the ratios to bare pytest within each pass. Plugins that are not installed are skipped.

    pip install pytest-benchmark pytest-codspeed pytest-memray
    python benchmarks/idle_cost.py [--rounds 30]
"""

from __future__ import annotations

import argparse
import importlib.util
import os
import resource
import statistics
import subprocess
import sys
import tempfile
from pathlib import Path

PLUGINS = {
    "bare pytest": None,
    "perfguard": "pytest_perfguard.plugin",
    "pytest-benchmark": "pytest_benchmark.plugin",
    "pytest-codspeed": "pytest_codspeed.plugin",
    "pytest-memray": "pytest_memray.plugin",
}
SUITE = """
import pytest

@pytest.mark.parametrize("number", range(50))
def test_nothing(number):
    pass
"""


def cpu_seconds(folder: Path, plugin: str | None) -> float:
    """Return the user and system CPU time of one pytest run and its child processes."""
    before = resource.getrusage(resource.RUSAGE_CHILDREN)
    environment = {name: value for name, value in os.environ.items() if name != "PYTHONDONTWRITEBYTECODE"}
    subprocess.run(
        [sys.executable, "-m", "pytest", "-q", "-p", "no:cacheprovider", *(["-p", plugin] if plugin else [])],
        cwd=folder, env={**environment, "PYTEST_DISABLE_PLUGIN_AUTOLOAD": "1"}, check=True, stdout=subprocess.DEVNULL,
    )  # fmt: skip
    after = resource.getrusage(resource.RUSAGE_CHILDREN)
    return after.ru_utime + after.ru_stime - before.ru_utime - before.ru_stime


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--rounds", type=int, default=30)
    rounds = parser.parse_args().rounds
    installed = {
        name: module for name, module in PLUGINS.items() if not module or importlib.util.find_spec(module.split(".")[0])
    }
    spent: dict[str, list[float]] = {name: [] for name in installed}
    with tempfile.TemporaryDirectory() as text:
        folder = Path(text)
        (folder / "test_suite.py").write_text(SUITE)
        (folder / "pytest.ini").write_text("[pytest]\n")
        for number in range(rounds + 1):
            for name, module in installed.items():
                seconds = cpu_seconds(folder, module)
                if number:  # the first round writes bytecode
                    spent[name].append(seconds)
    for name, seconds in spent.items():
        ratios = [one / bare for one, bare in zip(seconds, spent["bare pytest"], strict=True)]
        low, _, high = statistics.quantiles(ratios, n=4)
        print(
            f"{name:18} {statistics.median(seconds) * 1000:7.1f} ms CPU   x {statistics.median(ratios):.3f} of bare "
            f"(quartiles {low:.3f} to {high:.3f})"
        )


if __name__ == "__main__":
    main()
