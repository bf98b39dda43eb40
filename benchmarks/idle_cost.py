"""Measure the cost of an installed plugin in a run that measures nothing: pytest with one plugin each.

The same suite of 50 trivial tests runs under bare pytest, with a plugin that is an empty module, and with each plugin alone
(automatic loading is off, the plugin is named with -p, for which pytest reads the metadata of all installed packages: the empty
plugin has that cost as well). The runs alternate, so that changes of the machine's speed affect all of them. Prints the median
CPU seconds and the median of the ratios to the empty plugin within each pass. Plugins that are not installed are skipped.

With --instructions, valgrind counts the executed instructions instead, which no other process disturbs: two rounds are enough.
They leave out what the kernel does, such as reading files.

    pip install pytest-benchmark pytest-codspeed pytest-memray
    python benchmarks/idle_cost.py [--rounds 30]
    python benchmarks/idle_cost.py --instructions --rounds 2
"""

from __future__ import annotations

import argparse
import importlib.util
import os
import re
import resource
import shutil
import statistics
import subprocess
import sys
import tempfile
from collections.abc import Sequence
from pathlib import Path

BASE = "empty plugin"
PLUGINS = {
    "bare pytest": None,
    BASE: "empty_plugin",
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
COUNT = ("valgrind", "--tool=cachegrind", "--cache-sim=no", "--cachegrind-out-file=/dev/null")


def run_pytest(folder: Path, plugin: str | None, tool: Sequence[str] = ()) -> str:
    """Run the suite, under the program `tool` if there is one, and return what it writes to standard error."""
    environment = {name: value for name, value in os.environ.items() if name != "PYTHONDONTWRITEBYTECODE"}
    environment |= {"PYTEST_DISABLE_PLUGIN_AUTOLOAD": "1", "PYTHONHASHSEED": "0"}
    environment["PYTHONPATH"] = os.pathsep.join(filter(None, [os.environ.get("PYTHONPATH"), str(folder)]))
    command = [
        *tool,
        sys.executable,
        "-m",
        "pytest",
        "-q",
        "-p",
        "no:cacheprovider",
        *(["-p", plugin] if plugin else []),
    ]
    done = subprocess.run(
        command, cwd=folder, env=environment, check=True, stdout=subprocess.DEVNULL, stderr=subprocess.PIPE, text=True
    )
    return done.stderr


def cpu_seconds(folder: Path, plugin: str | None) -> float:
    """Return the user and system CPU time of one pytest run and its child processes."""
    before = resource.getrusage(resource.RUSAGE_CHILDREN)
    run_pytest(folder, plugin)
    after = resource.getrusage(resource.RUSAGE_CHILDREN)
    return after.ru_utime + after.ru_stime - before.ru_utime - before.ru_stime


def instructions(folder: Path, plugin: str | None) -> float:
    """Return the number of instructions that one pytest run executes."""
    text = run_pytest(folder, plugin, COUNT)
    found = re.search(r"I\s*refs:\s*([\d,]+)", text)
    if found is None:
        raise SystemExit(f"valgrind printed no count: {text}")
    return float(found[1].replace(",", ""))


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--rounds", type=int, default=30)
    parser.add_argument("--instructions", action="store_true", help="count instructions instead of CPU time")
    options = parser.parse_args()
    if options.instructions and shutil.which("valgrind") is None:
        raise SystemExit("valgrind is not installed")
    measure, unit = (instructions, "million instructions") if options.instructions else (cpu_seconds, "ms CPU")
    scale = 1e-6 if options.instructions else 1e3
    installed = {
        name: module
        for name, module in PLUGINS.items()
        if module in (None, PLUGINS[BASE]) or importlib.util.find_spec(module.split(".")[0])
    }
    spent: dict[str, list[float]] = {name: [] for name in installed}
    with tempfile.TemporaryDirectory() as text:
        folder = Path(text)
        (folder / "test_suite.py").write_text(SUITE)
        (folder / "empty_plugin.py").write_text("")
        (folder / "pytest.ini").write_text("[pytest]\n")
        for module in installed.values():
            run_pytest(folder, module)  # writes bytecode
        for _ in range(options.rounds):
            for name, module in installed.items():
                spent[name].append(measure(folder, module))
    for name, amounts in spent.items():
        ratios = sorted(one / base for one, base in zip(amounts, spent[BASE], strict=True))
        low, high = ratios[len(ratios) // 4], ratios[-1 - len(ratios) // 4]
        print(
            f"{name:18} {statistics.median(amounts) * scale:7.1f} {unit}   x {statistics.median(ratios):.3f} of the {BASE} "
            f"(quartiles {low:.3f} to {high:.3f})"
        )


if __name__ == "__main__":
    main()
