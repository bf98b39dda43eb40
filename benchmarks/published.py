"""Do verdicts agree with published performance changes? Two releases of a public package per case, judged and held against the truth.

`published_cases.json` names for each case the two releases, what they need, what was reported, and tests of a few functions. The
true ratio of each test was measured independently: by counted instructions, or by processes of both releases in turn (where both
were done, `instructions` has the other figure, which is shown). For each case this makes a git repository with a commit of each
release, and runs perfguard in it.

    python benchmarks/published.py --modes against,stored,aa --out published.json
    python benchmarks/published.py --only packaging_26,idna_37 --reverse       from the new release to the old one

| mode | base | head |
|---|---|---|
| `against` | the old release, by `--perf-against` | the new one |
| `stored` | the old release, by `--perf-baseline` | the new one, by `--perf-compare`; suspects are confirmed in pairs |
| `file` | the same with `--perf-confirm=off` | the new one |
| `aa`, `stored-aa` | the old release, as `against`, as `stored` | the old one: all must be unchanged |

Needs git, and pip with a package index. pip downloads wheels of the exact releases that the cases name, and nothing else
(no dependencies, no source distributions, nothing is built); they are unpacked below --work and kept there for the next time.

What must be found depends on the mode's threshold (3 % in pairs, 5 % against a file, 10 % there of calls above 2 ms): a true ratio
from 1.05, 1.08 and 1.15 on must be red, one below 1.03 must not, and between them either is right; improvements mirror this.
Peaks of memory must be red above 1 KiB and 2 % of growth, with a quarter to spare.
"""

from __future__ import annotations

import argparse
import json
import math
import shutil
import statistics
import subprocess
import sys
import tempfile
from collections import Counter
from collections.abc import Iterator, Sequence
from pathlib import Path
from typing import Any

from verdict_runs import Run, git, leading, run_pytest
from verdict_summary import LONG_SECONDS, wilson

CASES = Path(__file__).with_name("published_cases.json")
MODES = ("against", "stored", "file", "aa", "stored-aa")
SAME = 1.03
MEMORY_FLOOR = 1024
Case = dict[str, Any]
Row = dict[str, Any]


# Projects -----------------------------------------------------------------------------------------------------------


def release(requirement: str, work: Path) -> Path:
    """The folder that the wheel of `name==version` is unpacked in; downloaded once."""
    folder: Path = work / "releases" / requirement.replace("==", "-")
    if not folder.exists():
        with tempfile.TemporaryDirectory(dir=work) as text:
            command = [sys.executable, "-m", "pip", "install", "--quiet", "--disable-pip-version-check", "--no-deps"]
            command += ["--no-compile", "--only-binary=:all:", "--target", f"{text}/it", requirement]
            subprocess.run(command, check=True)
            folder.parent.mkdir(exist_ok=True)
            shutil.move(f"{text}/it", folder)
    return folder


def make_repository(case: Case, work: Path) -> Path:
    """A new repository with the tags `old` and `new`; what both releases need lies outside of it."""
    name: str = case["name"]
    needs, folder = work / "needs" / name, work / "cases" / name
    for place in (needs, folder):
        shutil.rmtree(place, ignore_errors=True)
        place.mkdir(parents=True)
    for requirement in case["needs"]:
        shutil.copytree(release(requirement, work), needs, dirs_exist_ok=True)
    tests = "\n".join(["import pytest", "", *case["code"], "", "pytestmark = pytest.mark.perf", ""])
    (folder / "test_case.py").write_text(tests)
    (folder / "pytest.ini").write_text(f"[pytest]\npythonpath = src {needs}\n")
    (folder / ".gitignore").write_text("__pycache__\n/report.json\n/perf-baseline.json\n.*.lock\n")
    git(folder, "init", "-q")
    for side in ("old", "new"):
        shutil.rmtree(folder / "src", ignore_errors=True)
        shutil.copytree(release(case[side], work), folder / "src")
        git(folder, "add", "-A")
        git(folder, "add", "-A", "-f", "src")
        git(folder, "commit", "-qm", case[side])
        git(folder, "tag", side)
    return folder


def run_mode(folder: Path, mode: str, options: Sequence[str]) -> list[Run]:
    """Record if the mode asks for it, and compare."""
    head = "old" if mode.endswith("aa") else "new"
    if mode in ("against", "aa"):
        git(folder, "checkout", "-qf", head)
        return [run_pytest(folder, "--perf-against=old", *options)]
    (folder / "perf-baseline.json").unlink(missing_ok=True)
    git(folder, "checkout", "-qf", "old")
    recording = run_pytest(folder, "--perf-baseline", *options)
    git(folder, "checkout", "-qf", head)
    confirm = ["--perf-confirm=off"] if mode == "file" else []
    return [recording, run_pytest(folder, "--perf-compare", *confirm, *options)]


def reverse(case: Case) -> Case:
    """The case from the new release to the old one."""
    tests = {
        name: {
            **test,
            "true": 1 / test["true"],
            **({"instructions": 1 / test["instructions"]} if "instructions" in test else {}),
            **{key: test[key][::-1] for key in ("memory", "leaks") if key in test},
        }
        for name, test in case["tests"].items()
    }
    return {**case, "old": case["new"], "new": case["old"], "tests": tests}


# Agreement ----------------------------------------------------------------------------------------------------------


def rows(case: Case, mode: str, report: dict[str, Any]) -> Iterator[Row]:
    """One row per test for its time, and one each for its peak of memory and its leaks where their truth is known."""
    found = {test["nodeid"].rpartition("::")[2]: test for test in report.get("tests", [])}
    for name, truth in case["tests"].items():
        test = found.get(name, {"metrics": [], "verdict": None, "reason": "not measured"})
        same = mode.endswith("aa")
        about = {"case": case["name"], "test": name, "mode": mode, "seconds": test.get("seconds")}
        about["instructions"] = None if same else truth.get("instructions")
        yield {**about, "what": "time", **_time(test, 1.0 if same else truth["true"], mode)}
        if "memory" in truth:
            yield {**about, "what": "memory", **_memory(test, truth["memory"][:1] * 2 if same else truth["memory"])}
        if "leaks" in truth and not same:
            yield {**about, "what": "leaks", **_leaks(test, truth["leaks"][1])}


def _time(test: dict[str, Any], true: float, mode: str) -> Row:
    metric = leading(test["metrics"])
    verdict, ratio = metric.get("verdict") or "not judged", metric.get("ratio")
    must = 1.05 if mode in ("against", "aa") else 1.15 if (metric.get("baseline") or 0) > LONG_SECONDS else 1.08
    wanted = "slower" if true >= must else "faster" if true <= 1 / must else "either"
    if 1 / SAME < true < SAME:
        wanted = "same"
    return {"true": true, "ratio": ratio, "verdict": verdict, "outcome": outcome(wanted, verdict)}


def _memory(test: dict[str, Any], peaks: Sequence[float]) -> Row:
    metric: dict[str, Any] = next((one for one in test["metrics"] if one["name"] == "memory"), {})
    verdict = metric.get("verdict") or "not judged"
    low, high = sorted(peaks)
    by_far = high - low > 1.25 * MEMORY_FLOOR and high > 1.025 * low
    hardly = high - low < 0.75 * MEMORY_FLOOR or high < 1.015 * low
    wanted = ("slower" if peaks[1] > peaks[0] else "faster") if by_far else "same" if hardly else "either"
    return {
        "true": peaks[1] / peaks[0],
        "ratio": metric.get("ratio"),
        "verdict": verdict,
        "outcome": outcome(wanted, verdict),
    }


def _leaks(test: dict[str, Any], leaks: bool) -> Row:
    if not test["metrics"]:
        return {"true": None, "ratio": None, "verdict": "not judged", "outcome": "not judged"}
    found = any(metric["verdict"] == "leak" for metric in test["metrics"])
    agreed = "found" if leaks else "right"
    missed = "missed" if leaks else "false alarm"
    about = {"true": None, "ratio": None, "verdict": "leak" if found else "no leak"}
    return {**about, "outcome": agreed if found == leaks else missed}


def outcome(wanted: str, verdict: str) -> str:
    """Agreement of a verdict with what the truth wants: `slower` (more, for memory), `faster`, `same` or `either`."""
    got = {"regression": "slower", "improvement": "faster", "unchanged": "same"}.get(verdict)
    if got is None:
        return "inconclusive" if verdict == "inconclusive" else "not judged"
    if wanted == "either":
        return "either"
    if got == wanted:
        return {"slower": "found", "faster": "found faster", "same": "right"}[got]
    if wanted == "same":
        return "false alarm" if got == "slower" else "false improvement"
    if got == "same":
        return "missed" if wanted == "slower" else "missed faster"
    return "wrong direction"


def describe(row: Row) -> str:
    """The row as a line."""
    ratio, true = (f"x {row[key]:.3f}" if row[key] else "" for key in ("ratio", "true"))
    counted = f" (instructions x {row['instructions']:.3f})" if row["instructions"] and row["what"] == "time" else ""
    return f"{row['test']:30} {row['what']:7} true {true:9} {row['verdict']:13} {ratio:10} {row['outcome']}{counted}"


def summary(found: Sequence[Row]) -> Iterator[str]:
    """Counts of each mode, for time, memory and leaks."""
    for mode, what in dict.fromkeys(
        (row["mode"], row["what"]) for row in sorted(found, key=lambda row: row["what"] != "time")
    ):
        chosen = [row for row in found if (row["mode"], row["what"]) == (mode, what)]
        counts = Counter(row["outcome"] for row in chosen)
        yield f"\n{mode}, {what}: " + ", ".join(f"{name} {count}" for name, count in counts.most_common())
        slower = [row for row in chosen if row["outcome"] in ("found", "missed")]
        same = [row for row in chosen if row["outcome"] in ("right", "false alarm", "false improvement")]
        yield f"  found {wilson(counts['found'], len(slower))}; false alarms {wilson(counts['false alarm'], len(same))}"
        errors = [abs(math.log(row["ratio"] / row["true"])) for row in chosen if row["ratio"] and row["true"]]
        if errors and what == "time":
            near = sum(error <= math.log(1.15) for error in errors)
            median = 100 * math.expm1(statistics.median(errors))
            yield f"  ratio: median error {median:.1f} %, within 15 % of the truth {wilson(near, len(errors))}"


def main() -> None:
    options = _options()
    cases = [
        case for case in json.loads(CASES.read_text())["cases"] if not options.only or case["name"] in options.only
    ]
    if options.reverse:
        cases = [reverse(case) for case in cases]
    options.work.mkdir(parents=True, exist_ok=True)
    wheels = sorted({name for case in cases for name in (case["old"], case["new"], *case["needs"])})
    print(
        f"pip downloads {len(wheels)} wheels to {options.work}, unless they are there: {' '.join(wheels)}\n", flush=True
    )
    found: list[Row] = []
    for case in cases:
        try:
            folder = make_repository(case, options.work)
        except (subprocess.CalledProcessError, OSError) as error:
            print(f"{case['name']}: not made: {error}", flush=True)
            continue
        for mode in options.modes:
            runs = run_mode(folder, mode, case.get("options", []))
            spent = " + ".join(f"{run.seconds:.0f}" for run in runs)
            print(f"{case['name']}, {mode}: {case['old']} to {case['new']}, {spent} s", flush=True)
            for run in runs:
                print(run.error, end="")
            judged = list(rows(case, mode, runs[-1].report))
            found += judged
            for row in judged:
                print(f"  {describe(row)}", flush=True)
            if options.out:
                options.out.write_text(json.dumps({"reverse": options.reverse, "rows": found}, indent=0) + "\n")
    print("\n".join(summary(found)))


def _options() -> argparse.Namespace:
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    names = [case["name"] for case in json.loads(CASES.read_text())["cases"]]
    parser.add_argument("--only", default="", metavar="CASES", help=f"of {', '.join(names)}")
    parser.add_argument("--modes", default="against,stored,aa", help=f"of {', '.join(MODES)}")
    parser.add_argument("--reverse", action="store_true", help="from the new release to the old one")
    parser.add_argument("--out", type=Path, metavar="FILE", help="store every row in a JSON file")
    parser.add_argument("--work", type=Path, default=Path(tempfile.gettempdir()) / "perfguard-published", metavar="DIR")
    options = parser.parse_args()
    for flag, valid in (("only", names), ("modes", MODES)):
        words = [word for word in getattr(options, flag).split(",") if word]
        for word in words:
            if word not in valid:
                parser.error(f"--{flag}: {word!r} is not valid, choose from {', '.join(valid)}")
        setattr(options, flag, words)
    return options


if __name__ == "__main__":
    main()
