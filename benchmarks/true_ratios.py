"""How much slower are a sample project's tests in truth? Ratios of calls too short for a slowdown that is exact by construction.

Each of several fresh processes loads the library with every number of units, and times the calls in turn, in slices of
0.3 ms, round after round; the time of an empty loop is subtracted. A process contributes the ratio of the minima, and the
median over the processes is the true ratio. Nothing of perfguard is used.

    python benchmarks/true_ratios.py --project tiny --units 20,21,22,26,30,40,100
"""

from __future__ import annotations

import argparse
import json
import statistics
import subprocess
import sys
import timeit
from collections.abc import Callable, Sequence
from types import ModuleType

from sample_projects import PROJECTS

SLICE_SECONDS = 0.000_3


def true_ratios(project: str, units: Sequence[int], *, processes: int = 10) -> dict[str, dict[int, float]]:
    """Test -> units -> seconds of its call relative to those with the first of `units`."""
    command = [sys.executable, __file__, "--project", project, "--units", ",".join(map(str, units)), "--child"]
    seconds = [
        json.loads(subprocess.run(command, capture_output=True, text=True, check=True).stdout) for _ in range(processes)
    ]
    return {
        test: {
            unit: statistics.median(one[test][str(unit)] / one[test][str(units[0])] for one in seconds)
            for unit in units
        }
        for test in seconds[0]
    }  # fmt: skip


def measure_minima(project: str, units: Sequence[int], rounds: int = 40) -> dict[str, dict[int, float]]:
    """Test -> units -> the smallest seconds of a call in this process."""
    calls = {unit: load_calls(project, unit) for unit in units}
    return {
        test: dict(zip(units, _minima([calls[unit][test] for unit in units], rounds), strict=True))
        for test in calls[units[0]]
    }


def load_calls(project: str, unit: int) -> dict[str, Callable[[], object]]:
    """The calls that the project's tests measure, by test, of its library with so many units."""
    library, tests = ModuleType("library"), ModuleType("tests")
    source = PROJECTS[project].library.replace("REPEAT = 20", f"REPEAT = {unit}")
    exec(compile(source, "library", "exec"), library.__dict__)
    sys.modules["library"] = library
    exec(compile(PROJECTS[project].tests.replace("COPIES", "1"), "tests", "exec"), tests.__dict__)
    calls: dict[str, Callable[[], object]] = tests.CALLS
    return calls


def _minima(calls: Sequence[Callable[[], object]], rounds: int) -> list[float]:
    timers = [timeit.Timer(call) for call in calls]
    counts = [max(1, round(SLICE_SECONDS / (timer.timeit(200) / 200))) for timer in timers]
    found = [min(timer.timeit(count) / count for _ in range(3)) for timer, count in zip(timers, counts, strict=True)]
    empty, loop = timeit.Timer("pass"), 1.0
    for _ in range(rounds):
        loop = min(loop, empty.timeit(20_000) / 20_000)
        for place, (timer, count) in enumerate(zip(timers, counts, strict=True)):
            found[place] = min(found[place], timer.timeit(count) / count)
    return [seconds - loop for seconds in found]


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument(
        "--project", default="tiny", choices=[name for name, it in PROJECTS.items() if it.measured_truth]
    )
    parser.add_argument("--units", default="20,21,22,26,30,40,100", help="the first is the baseline's")
    parser.add_argument("--processes", type=int, default=10)
    parser.add_argument("--child", action="store_true", help="print the minima of this process as JSON")
    options = parser.parse_args()
    units = [int(text) for text in options.units.split(",")]
    if options.child:
        print(json.dumps(measure_minima(options.project, units)))
        return
    for test, ratios in true_ratios(options.project, units, processes=options.processes).items():
        print(f"{test:14}", "  ".join(f"{unit}: x {ratio:.3f}" for unit, ratio in ratios.items()))


if __name__ == "__main__":
    main()
