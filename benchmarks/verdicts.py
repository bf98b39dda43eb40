"""How often is a verdict wrong, and how wrong is a reported ratio? Trials on sample projects with exact slowdowns.

A test of a sample project repeats one unit of work REPEAT times, so that a slowdown is real extra work of a known amount: 21
units against 20 are 5 %, 22 are 10 %, 26, 30, 40 and 100 are 30 %, 50 %, 100 % and five times. Each trial is a mode, a
condition of the machine and a project; it compares unchanged code, then slower code. Every figure has 95 % (Wilson) limits.

    python benchmarks/verdicts.py --mode against,confirm,file --conditions quiet,noisy,load8,shifted \\
        --project short,tiny,medium,slow,long --slowdowns 21,22,26,30,40,100 --out all.json
    python benchmarks/verdicts.py --summary all.json more.json      the figures of stored trials, added up

| mode | |
|---|---|
| `against` | `--perf-against=HEAD` |
| `confirm` | `--perf-compare` in a git repository: suspects are confirmed beside the baseline's commit |
| `file`, or `compare` | `--perf-compare` without git: the baseline file alone |

| condition | |
|---|---|
| `quiet` | nothing else runs |
| `noisy` | beside bursts of work, in one process per two CPUs |
| `load8` | beside eight processes that are always busy |
| `shifted` | recorded while it is quiet, compared beside the bursts; `against` records nothing, so there it is `noisy` |

| project | |
|---|---|
| `short` | eight kinds of work, calls of 40 to 170 us |
| `tiny` | six, of 20 ns to 0.5 us, whose true ratios are measured before the trial (true_ratios.py), so the machine must be quiet |
| `medium` | eight, of 0.3 to 3 ms |
| `slow` | computing for 5, 50 and 300 ms, sleeping, and both in turn |
| `long` | computing for up to a second, sleeping, talking over a socket, working in two threads or processes |
| `large` | no verdicts: seconds of each mode on 3,000 tests, 10 of them marked, beside a conftest that computes for 2 s |

Further trials, of all modes and conditions that are named:

    python benchmarks/verdicts.py --improvements --slowdowns 22,26,40        from slower code to faster: found where `improvement`
    python benchmarks/verdicts.py --frames 0,1,4,8,12,16,24 --mode against   the same code, called through more frames
    python benchmarks/verdicts.py --project large                            seconds per marked test
    python benchmarks/verdicts.py --budget                                   seconds of 500 trivial tests with a budget of 10 ms
    python benchmarks/verdicts.py --demo 20                                  the steps of `perfguard demo`: status, seconds, red for time
"""

from __future__ import annotations

import argparse
import platform
import subprocess
import tempfile
import time
from collections import Counter
from collections.abc import Callable, Sequence
from pathlib import Path
from typing import Any

from sample_projects import PROJECTS
from verdict_costs import Cost, budget, demo, large
from verdict_runs import CONDITIONS, MODES, Judged, Setup, judge, make_project, neighbours, neighbours_of, truth
from verdict_summary import load, store, summary


class Results:
    """All verdicts and costs, stored after each run."""

    def __init__(self, path: Path | None, details: bool) -> None:
        self._path = path
        self._details = details
        self._about = _about()
        self.verdicts: list[Judged] = []
        self.costs: list[Cost] = []

    def keep(self, found: Sequence[Judged], what: str, seconds: float) -> None:
        self.verdicts += found
        print(f"  {what}: {dict(Counter(one.verdict for one in found))}, {seconds:.1f} s", flush=True)
        for one in found if self._details else []:
            if one.verdict not in _expected(one):
                ratio = "" if one.ratio is None else f" {one.metric} x {one.ratio:.3f}, true x {one.true:.3f}"
                print(f"      {one.nodeid} {one.verdict}{ratio} {' '.join(one.red_for)}", flush=True)
        self._store()

    def keep_cost(self, cost: Cost) -> None:
        self.costs.append(cost)
        notes = ", ".join(f"{name} {value}" for name, value in cost.items() if name not in ("goal", "step", "seconds"))
        print(f"  {cost['goal']}, {cost['step']}: {cost['seconds']:.1f} s; {notes}", flush=True)
        self._store()

    def _store(self) -> None:
        store(self._path, self._about, self.verdicts, self.costs)


def _expected(one: Judged) -> tuple[str, ...]:
    words = {"slower": "regression", "faster": "improvement", "recording": "measured"}
    return (words.get(one.goal, "unchanged"),)


def _about() -> dict[str, Any]:
    """Where and when the trial was made."""
    here = Path(__file__).parent
    command = ["git", "rev-parse", "--short=12", "HEAD"]
    commit = subprocess.run(command, cwd=here, capture_output=True, text=True, check=False).stdout.strip()
    now = time.strftime("%Y-%m-%dT%H:%M:%SZ", time.gmtime())
    return {"at": now, "commit": commit, "python": platform.python_version(), "machine": platform.platform()}


def trial(setup: Setup, comparisons: dict[int, list[int]], cycles: int, results: Results) -> None:
    """Compare each base with its heads, so many times over. `comparisons`: units of the base -> units of its heads."""
    true = {base: truth(setup.project, base, [base, *heads]) for base, heads in comparisons.items()}
    for base, heads in comparisons.items():
        with tempfile.TemporaryDirectory() as text:
            folder = Path(text)
            make_project(folder, setup, base)
            for cycle in range(cycles):
                where = f"{setup.mode} {setup.condition} {setup.project}, cycle {cycle + 1} of {cycles}"
                if setup.mode != "against":
                    with neighbours(neighbours_of(setup.condition, recording=True)):
                        start = time.monotonic()
                        found = judge(folder, setup, base, base, true[base], recording=True)
                    results.keep(found, f"{where}, {base} recorded", time.monotonic() - start)
                with neighbours(neighbours_of(setup.condition, recording=False)):
                    for head in heads:
                        start = time.monotonic()
                        found = judge(folder, setup, base, head, true[base])
                        results.keep(found, f"{where}, {head} against {base}", time.monotonic() - start)


def main() -> None:
    parser = _parser()
    options = parser.parse_args()
    if options.out is not None and options.out.exists():
        parser.error(f"--out: {options.out} exists; name a new file and add the files up with --summary")
    if options.summary:
        print("\n".join(summary(*load(options.summary))))
        return
    results = Results(options.out, options.details)
    if options.demo:
        demo(results.keep_cost, times=options.demo)
    if options.budget:
        budget(results.keep_cost, cycles=options.cycles, count=options.budget)
    if "large" in options.project:
        large(
            results.keep_cost, cycles=options.cycles, collected=options.collected, import_seconds=options.import_seconds
        )
    for setup, comparisons in _trials(options):
        trial(setup, comparisons, options.cycles, results)
    print("\n".join(summary(results.verdicts, results.costs)))


def _trials(options: argparse.Namespace) -> list[tuple[Setup, dict[int, list[int]]]]:
    """What to compare under every mode, condition and project that was chosen."""
    if options.frames is not None:
        projects, comparisons = ["frames"], {0: options.frames}
    else:
        projects = [name for name in options.project if name in PROJECTS]
        if options.improvements:
            comparisons = {units: [20] for units in options.slowdowns}
        else:
            comparisons = {20: [20] * options.compares + options.slowdowns}
        if not options.project and not options.budget and not options.demo:
            projects = ["short"]
    return [
        (Setup(mode, condition, project, options.copies, tuple(options.pytest)), comparisons)
        for project in projects
        for mode in options.mode
        for condition in options.conditions
    ]


def _parser() -> argparse.ArgumentParser:
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    add = parser.add_argument
    add("--mode", type=_words(*MODES, "compare"), default=["against"], help=f"of {', '.join(MODES)}; default: against")
    add("--conditions", type=_words(*CONDITIONS), default=["quiet", "noisy"], help=f"of {', '.join(CONDITIONS)}")
    names = sorted({*PROJECTS, "large"} - {"frames"})
    add("--project", type=_words(*names), default=[], help=f"of {', '.join(names)}; default: short")
    add("--cycles", type=int, default=3, help="how often all is done")
    add("--compares", type=int, default=3, help="comparisons of unchanged code per cycle")
    add("--copies", type=int, default=3, help="tests of each kind")
    add("--slowdowns", type=_numbers, default=[21, 22], help="units of work of the slower code; 20 is the baseline's")
    add("--improvements", action="store_true", help="the units of --slowdowns are the base's, and the head has 20")
    add("--frames", type=_numbers, help="compare the same code, called through so many more frames")
    add("--budget", type=int, nargs="?", const=500, help="seconds of so many trivial tests with a budget of 10 ms each")
    add("--demo", type=int, metavar="N", help="the steps of `perfguard demo`, N times")
    add("--collected", type=int, default=3000, help="tests of the project large")
    add("--import-seconds", type=float, default=2.0, help="how long its conftest takes")
    add(
        "--pytest",
        action="append",
        default=[],
        metavar="OPTION",
        help="one more option of pytest, such as --pytest=-k=cpu",
    )
    add("--details", action="store_true", help="print every test that got another verdict than it should")
    add("--out", type=Path, metavar="FILE", help="store every verdict in a new JSON file")
    add(
        "--summary",
        type=Path,
        nargs="+",
        metavar="FILE",
        help="run nothing: print the figures of stored files together",
    )
    return parser


def _words(*valid: str) -> Callable[[str], list[str]]:
    """Read a list of words that are divided by commas; `compare` is the older name of `file`."""

    def read(text: str) -> list[str]:
        words = [word for word in text.split(",") if word]
        for word in words:
            if word not in valid:
                raise argparse.ArgumentTypeError(f"{word!r} is not valid, choose from {', '.join(valid)}")
        return ["file" if word == "compare" else word for word in words]

    return read


def _numbers(text: str) -> list[int]:
    return [int(number) for number in text.split(",") if number]


if __name__ == "__main__":
    main()
