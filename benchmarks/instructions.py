"""How exact are counts of instructions? Twenty tests of eight kinds, counted many times.

    python benchmarks/instructions.py same [RUNS [AT_ONCE]]  largest difference and verdicts of identical code, per kind:
                                                             each run judged against each other one
    python benchmarks/instructions.py judge FILE...          the same of baseline files that such runs have recorded
    python benchmarks/instructions.py planted                detection of 1, 2 and 5 % more work
    python benchmarks/instructions.py places                 the same baseline in other environments
    python benchmarks/instructions.py by-hand                against `valgrind --tool=callgrind` started by hand

Run it on a quiet machine, and again while other processes compute: the counts must not differ. The tests are written to a
temporary folder. `places` needs root for the run as another user.
"""

from __future__ import annotations

import json
import os
import re
import shutil
import subprocess
import sys
import tempfile
import time
from collections import Counter, defaultdict
from collections.abc import Mapping, Sequence
from concurrent.futures import ThreadPoolExecutor
from itertools import permutations
from pathlib import Path
from typing import Any, Final

ROOT: Final = Path(__file__).resolve().parents[1]
sys.path.insert(0, str(ROOT))

from pytest_perfguard.core.metric_stats import MetricStats  # noqa: E402
from pytest_perfguard.core.model import Finding, Measurement, Record  # noqa: E402
from pytest_perfguard.core.settings import resolve  # noqa: E402
from pytest_perfguard.engine.baseline.store import Store  # noqa: E402
from pytest_perfguard.engine.verdict.instructions import COUNT_PROCESSES, judge_counts  # noqa: E402

LIBRARY: Final = """
import asyncio, json, re, sqlite3, tempfile, threading

UNITS = {units}
DATA = {{f"key{{n}}": [n, str(n), {{"x": n * 1.5}}] for n in range(10)}}
TEXT = " ".join(f"user{{n}}@host{{n}}.com noise" for n in range(5))
PATTERN = re.compile(r"(\\w+)@(\\w+)\\.com")
FILE = tempfile.NamedTemporaryFile(prefix="perfguard-")
FILE.write(b"a line of text\\n" * 20)
FILE.flush()
BASE = sqlite3.connect(":memory:")
BASE.execute("create table t (a, b)")
BASE.executemany("insert into t values (?, ?)", [(n, str(n)) for n in range(20)])
LOOP = asyncio.new_event_loop()


def unit_arithmetic():
    return sum(n * n % 7 for n in range(20))


def unit_calls():
    return [abs(n) for n in range(-10, 10)]


def unit_objects():
    return [object() for _ in range(20)]


def unit_dumps():
    return json.dumps(DATA)


def unit_loads(text=json.dumps(DATA)):
    return json.loads(text)


def unit_both():
    return json.loads(json.dumps([1, 2.5, "three"]))


def unit_findall():
    return PATTERN.findall(TEXT)


def unit_sub():
    return PATTERN.sub("x", TEXT)


def unit_split():
    return re.split(r"\\s+", TEXT)


def unit_dict():
    return {{f"key{{n}}": n for n in range(20)}}


def unit_set():
    return {{str(n) for n in range(20)}} & {{str(n) for n in range(10, 30)}}


def unit_counter():
    counts = {{}}
    for word in TEXT.split():
        counts[word] = counts.get(word, 0) + 1
    return counts


def unit_select():
    return BASE.execute("select sum(a), count(b) from t where a % 3 = 1").fetchall()


def unit_update():
    return BASE.execute("update t set b = 'x' where a = 3").rowcount


def unit_read():
    with open(FILE.name) as stream:
        return sum(map(len, stream))


def unit_seek():
    FILE.seek(0)
    return len(FILE.read())


def unit_thread():
    thread = threading.Thread(target=unit_arithmetic)
    thread.start()
    thread.join()


def unit_lock(lock=threading.Lock()):
    for _ in range(10):
        with lock:
            pass


async def unit_sleep():
    await asyncio.sleep(0)


async def unit_gather():
    await asyncio.gather(unit_sleep(), unit_sleep())


def repeat(unit):
    for _ in range(UNITS):
        unit()


def repeat_async(unit):
    async def calls():
        for _ in range(UNITS):
            await unit()

    LOOP.run_until_complete(calls())
"""
KINDS: Final[Mapping[str, Sequence[str]]] = {
    "pure Python": ("arithmetic", "calls", "objects"),
    "json": ("dumps", "loads", "both"),
    "re": ("findall", "sub", "split"),
    "dict and set": ("dict", "set", "counter"),
    "sqlite": ("select", "update"),
    "files": ("read", "seek"),
    "threads": ("thread", "lock"),
    "async": ("sleep", "gather"),
}
KIND_OF: Final = {name: kind for kind, names in KINDS.items() for name in names}


def main(arguments: Sequence[str]) -> None:
    """Run one of the experiments."""
    experiments = {"same": _same, "judge": _judge_files, "planted": _planted, "places": _places, "by-hand": _by_hand}
    if not arguments or arguments[0] not in experiments:
        raise SystemExit(__doc__)
    with tempfile.TemporaryDirectory(prefix="perfguard-counts-") as folder:
        experiments[arguments[0]](Path(folder), *arguments[1:])


def _same(folder: Path, runs: str = "8", at_once: str = "1") -> None:
    """Record identical code several times, each time in a folder of its own, and judge the runs."""

    def record(number: int) -> Path:
        place = folder / f"run{number:03}"
        place.mkdir()
        seconds = _record(place)
        print(f"run {number}: {seconds:.1f} s (two processes), load {os.getloadavg()[0]:.1f}", flush=True)
        return place / "perf-baseline.json"

    with ThreadPoolExecutor(int(at_once)) as pool:
        _judge_files(folder, *pool.map(record, range(1, int(runs) + 1)))


def _judge_files(_folder: Path, *files: Path | str) -> None:
    """Judge each recorded run of identical code against each other one as its baseline."""
    runs = [next(iter(Store(Path(file)).read().classes.values())).tests for file in files]
    verdicts: Counter[str] = Counter()
    changes: defaultdict[str, list[float]] = defaultdict(list)
    for base, head in permutations(runs, 2):
        _judge(base, head, verdicts, changes)
    print(f"{len(runs)} runs, each judged against each other one")
    _print_changes(changes, verdicts)


def _judge(
    base: Mapping[str, Record],
    head: Mapping[str, Record],
    verdicts: Counter[str],
    changes: defaultdict[str, list[float]],
) -> None:
    """Add the verdicts of `--perf-compare` on a run with these counts, by the code that judges there."""
    for nodeid, record in head.items():
        findings = _findings(base[nodeid], record, processes=1) or _findings(base[nodeid], record, processes=2) or ()
        for finding in findings:
            verdicts[finding.verdict.value if finding.verdict else "none"] += 1
            changes[KIND_OF[nodeid.partition("::test_")[2]]].append(finding.ratio or 0.0)


def _findings(base: Record, head: Record, *, processes: int) -> Sequence[Finding] | None:
    samples = {
        name: MetricStats(stats.unit, stats.minima[:processes], stats.medians[:processes], stats.rounds)
        for name, stats in head.metrics.items()
    }
    measurement = Measurement(samples=samples, processes=processes, counting=head.counting)
    settings = resolve(marker={}, command_line={}, ini={})
    return judge_counts(base, measurement, settings, final=processes == COUNT_PROCESSES)


def _planted(folder: Path) -> None:
    _record(folder)
    for units in (101, 102, 105):
        _write(folder, units)
        report, _seconds = _compare(folder)
        verdicts: Counter[str] = Counter()
        changes: defaultdict[str, list[float]] = defaultdict(list)
        _tally(report, verdicts, changes)
        print(f"{units - 100} % more work")
        _print_changes(changes, verdicts)
        missed = [test["nodeid"].partition("::")[2] for test in report["tests"] if test["verdict"] != "regression"]
        print(f"  not told: {', '.join(missed) or 'none'}", flush=True)


def _places(folder: Path) -> None:
    _record(folder)
    for name, run in _variants(folder).items():
        report, _seconds = _compare(folder, **run)
        verdicts: Counter[str] = Counter()
        changes: defaultdict[str, list[float]] = defaultdict(list)
        _tally(report, verdicts, changes)
        largest = max((abs(ratio - 1) for ratios in changes.values() for ratio in ratios), default=0.0)
        print(f"{name}: largest difference {largest:.3%}; {dict(verdicts)}", flush=True)


def _variants(folder: Path) -> dict[str, dict[str, Any]]:
    elsewhere = folder / ".elsewhere" / "much" / "longer" / "path"  # pytest collects nothing below such a name
    python = _copied_python(folder / ".python")
    variants: dict[str, dict[str, Any]] = {
        "the same place": {},
        "4 KB more in the environment": {"environment": {"PADDING": "x" * 4096}},
        "another hash seed": {"environment": {"PYTHONHASHSEED": "7"}},
        "another locale": {"environment": {"LC_ALL": "C"}},
        "a longer path of the project": {"moved": elsewhere},
        "a copy of the interpreter in another folder": {"python": python},
        "another address layout (setarch -R)": {"prefix": ("setarch", "-R")},
    }
    if os.geteuid() == 0 and shutil.which("setpriv"):
        variants["another user, with the copy of the interpreter"] = {
            "prefix": ("setpriv", "--reuid=65534", "--regid=65534", "--clear-groups"),
            "open_to_all": True,
            "python": python,
            # This user may not be able to read the library of the original.
            "environment": {"LD_LIBRARY_PATH": str(folder / ".python" / "lib")},
        }
    return variants


def _copied_python(folder: Path) -> str:
    """Copy the interpreter and its library; return the copied program."""
    shutil.copytree(
        sys.base_prefix, folder, symlinks=True, ignore=shutil.ignore_patterns("test", "tests", "site-packages")
    )
    return str(folder / "bin" / Path(_interpreter()).name)


def _by_hand(folder: Path) -> None:
    """Count one call of a function by hand: the difference of 40 and 30 calls, each in a process of its own."""
    _record(folder)
    counted = _recorded_counts(folder)
    for name in ("arithmetic", "dumps", "findall", "dict"):
        ones = [_callgrind(folder, name, calls) for calls in (30, 40)]
        by_hand = (ones[1] - ones[0]) / 10
        ours = counted[f"test_{name}"]
        print(f"{name}: {ours:,.0f} here, {by_hand:,.0f} by hand ({ours / by_hand - 1:+.2%})")


def _callgrind(folder: Path, name: str, calls: int) -> int:
    program = f"import lib\nfor _ in range({calls}):\n    lib.repeat(lib.unit_{name})\n"
    out = folder / "by-hand.out"
    done = subprocess.run(
        ["valgrind", "--tool=callgrind", f"--callgrind-out-file={out}", _interpreter(), "-c", program],
        cwd=folder, env={**os.environ, "PYTHONHASHSEED": "0"}, capture_output=True, text=True, check=True,
    )  # fmt: skip
    found = re.search(r"Collected : (\d+)", done.stderr)
    if found is None:
        raise SystemExit(f"valgrind printed no count:\n{done.stderr}")
    return int(found[1])


def _packages() -> list[str]:
    """Return the folders of installed packages, which a copied interpreter lacks."""
    return [path for path in sys.path if path.endswith("site-packages")]


def _interpreter() -> str:
    return os.path.realpath(sys.executable)


def _recorded_counts(folder: Path) -> dict[str, float]:
    data = json.loads((folder / "perf-baseline.json").read_text())
    (part,) = data["classes"].values()
    return {
        nodeid.partition("::")[2]: record["metrics"]["instructions"]["medians"][0]
        for nodeid, record in part["tests"].items()
    }


def _write(folder: Path, units: int) -> None:
    (folder / "lib.py").write_text(LIBRARY.format(units=units))
    tests = ["import lib", "import pytest", "pytestmark = pytest.mark.perf"]
    for name, kind in KIND_OF.items():
        repeat = "repeat_async" if kind == "async" else "repeat"
        tests.append(f"def test_{name}():\n    lib.{repeat}(lib.unit_{name})")
    (folder / "test_counts.py").write_text("\n\n\n".join(tests) + "\n")
    (folder / "pytest.ini").write_text("[pytest]\n")


def _record(folder: Path) -> float:
    _write(folder, 100)
    start = time.monotonic()
    _pytest(folder, "--perf-baseline", "--perf-explain=off")
    return time.monotonic() - start


def _compare(
    folder: Path,
    *,
    environment: Mapping[str, str] | None = None,
    prefix: Sequence[str] = (),
    moved: Path | None = None,
    open_to_all: bool = False,
    python: str = sys.executable,
) -> tuple[dict[str, Any], float]:
    start = time.monotonic()
    if moved is not None:
        shutil.rmtree(moved, ignore_errors=True)
        shutil.copytree(
            folder, moved, ignore=shutil.ignore_patterns(".elsewhere", ".python", ".pytest_cache", "__pycache__")
        )
        folder = moved
    if open_to_all:
        for path in (folder, *folder.iterdir()):
            path.chmod(0o777)
    _pytest(
        folder, "--perf-compare", "--perf-report=report.json", environment=environment, prefix=prefix, python=python
    )
    return json.loads((folder / "report.json").read_text()), time.monotonic() - start


def _pytest(
    folder: Path,
    *options: str,
    environment: Mapping[str, str] | None = None,
    prefix: Sequence[str] = (),
    python: str = sys.executable,
) -> None:
    command = [*prefix, python, "-m", "pytest", "-q", "--perf-metrics=instructions", *options]
    plugins = {"PYTEST_DISABLE_PLUGIN_AUTOLOAD": "1", "PYTEST_PLUGINS": "pytest_perfguard.plugin"}
    variables = {
        **os.environ,
        "PYTHONPATH": os.pathsep.join((str(ROOT), *_packages())),
        **plugins,
        **(environment or {}),
    }
    done = subprocess.run(command, cwd=folder, env=variables, capture_output=True, text=True, check=False)
    if done.returncode not in (0, 1, 5):  # 5: nothing was judged, such as counts under other conditions
        raise SystemExit(f"{' '.join(command)} exited with status {done.returncode}:\n{done.stdout}{done.stderr}")


def _tally(report: Mapping[str, Any], verdicts: Counter[str], changes: defaultdict[str, list[float]]) -> None:
    for test in report["tests"]:
        verdicts[str(test["verdict"])] += 1
        kind = KIND_OF[test["nodeid"].partition("::test_")[2]]
        changes[kind] += [metric["ratio"] for metric in test["metrics"] if metric["ratio"]]


def _print_changes(changes: Mapping[str, Sequence[float]], verdicts: Mapping[str, int]) -> None:
    for kind, ratios in changes.items():
        print(f"  {kind:14} {min(ratios) - 1:+.4%} to {max(ratios) - 1:+.4%}")
    print(f"  verdicts: {dict(verdicts)}")


if __name__ == "__main__":
    main(sys.argv[1:])
