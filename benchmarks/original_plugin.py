"""Compare the fixture `benchmark` with pytest-benchmark's by running the same scripts under both plugins.

First numbers of calls, errors and keys, which must be equal; then the medians of ten functions, in alternating runs. Runs on a
shared machine differ by a factor of two, and interference only makes them slower, so the smallest medians should agree. Prints
a line for each difference and a table of medians.

    python -m venv original && original/bin/pip install pytest-benchmark
    python benchmarks/original_plugin.py original/bin/python [--runs 15]
"""

from __future__ import annotations

import argparse
import json
import os
import re
import subprocess
import sys
import tempfile
from collections.abc import Sequence
from pathlib import Path

BEHAVIOUR = """
import json
import pathlib
import pytest

SEEN = {}


@pytest.fixture(scope="session", autouse=True)
def told():
    yield
    pathlib.Path("seen.json").write_text(json.dumps(SEEN, sort_keys=True, indent=1))


@pytest.fixture
def calls(request):
    log = SEEN.setdefault(request.node.name, [])
    return log


def target(log):
    def function(*args, **kwargs):
        log.append(["call", list(args), kwargs])
        return len(log)
    return function


PEDANTIC = [
    {},
    {"rounds": 3},
    {"rounds": 3, "iterations": 4},
    {"rounds": 2, "warmup_rounds": 2},
    {"rounds": 2, "warmup_rounds": 2, "iterations": 3},
    {"rounds": 2, "args": (1, 2), "kwargs": {"a": 3}},
    {"iterations": 0}, {"iterations": -1}, {"iterations": 1.5}, {"rounds": 0}, {"rounds": "2"}, {"warmup_rounds": -1},
    {"warmup_rounds": None}, {"iterations": True}, {"rounds": True},
]


@pytest.mark.parametrize("options", PEDANTIC, ids=str)
@pytest.mark.parametrize("setup", [None, "nothing", "arguments", "empty", "wrong", "number"])
@pytest.mark.parametrize("teardown", [False, True])
def test_pedantic(benchmark, calls, options, setup, teardown):
    def prepare():
        calls.append(["setup"])
        return {
            "nothing": None, "arguments": ((7,), {"b": 8}), "empty": (), "wrong": (1, 2, 3), "number": 5,
        }[setup]

    def after(*args, **kwargs):
        calls.append(["teardown", list(args), kwargs])

    given = dict(options)
    if setup:
        given["setup"] = prepare
    if teardown:
        given["teardown"] = after
    try:
        calls.append(["result", benchmark.pedantic(target(calls), **given)])
    except Exception as error:
        calls.append(["raised", type(error).__name__])
    calls.append(["stats", benchmark.stats is not None and sorted(
        name for name in benchmark.stats.as_dict()["stats"] if name != "data"
    ) if benchmark.stats else None])
    calls.append(["state", benchmark.has_error, benchmark.disabled, benchmark.enabled])
    calls.append(["rounds", benchmark.stats["rounds"], benchmark.stats["iterations"]] if benchmark.stats else [])


def slow(log):
    def function(*args, **kwargs):
        import time
        log.append(["call", list(args), kwargs])
        time.sleep(0.002)
        return len(log)
    return function


@pytest.mark.benchmark(max_time=0.000001, min_rounds=4)
def test_plain_calls(benchmark, calls):
    calls.append(["result", benchmark(slow(calls), 1, b=2)])


@pytest.mark.benchmark(max_time=0.001, min_rounds=2, warmup=True, warmup_iterations=3)
def test_warm_calls(benchmark, calls):
    calls.append(["result", benchmark(slow(calls))])


@pytest.mark.benchmark(max_time=0.000001, min_rounds=1)
def test_decorator(benchmark, calls):
    @benchmark
    def result():
        return slow(calls)()

    calls.append(["result", result])


def test_raises(benchmark, calls):
    def broken():
        calls.append("call")
        raise KeyError("x")

    with pytest.raises(KeyError):
        benchmark(broken)
    calls.append(["state", benchmark.has_error])


def test_raises_later(benchmark, calls):
    def broken():
        calls.append("call")
        if len(calls) > 2:
            raise KeyError("x")

    with pytest.raises(KeyError):
        benchmark.pedantic(broken, rounds=5)
    calls.append(["state", benchmark.has_error, benchmark.stats["rounds"]])


@pytest.mark.parametrize("first", ["plain", "pedantic"])
@pytest.mark.parametrize("second", ["plain", "pedantic"])
def test_used_twice(benchmark, calls, first, second):
    def use(how):
        return benchmark(abs, -1) if how == "plain" else benchmark.pedantic(abs, (-1,))

    use(first)
    try:
        use(second)
    except Exception as error:
        calls.append(["raised", type(error).__name__])
    calls.append(["state", benchmark.has_error])


@pytest.mark.benchmark(group="named")
@pytest.mark.parametrize("number", [1, 2])
def test_attributes(benchmark, calls, number):
    calls.append([benchmark.name, benchmark.fullname, benchmark.group, benchmark.param, benchmark.params])
    benchmark.extra_info["a"] = 1
    benchmark.group = "other"
    benchmark.pedantic(abs, (-1,), rounds=20)
    data = benchmark.stats.stats
    calls.append([benchmark.stats.group, benchmark.stats.extra_info, sorted(benchmark.stats.as_dict())])
    calls.append([name for name in ("min", "max", "mean", "stddev", "median", "iqr", "q1", "q3", "ops", "total", "rounds",
                                    "outliers", "iqr_outliers", "stddev_outliers", "ld15iqr", "hd15iqr")
                  if benchmark.stats[name] == getattr(data, name)])


@pytest.mark.parametrize("count", [1, 2, 3, 4, 5, 6, 7, 10, 101])
def test_statistics(benchmark, calls, count):
    benchmark.pedantic(abs, (-1,))
    made = type(benchmark.stats)(benchmark, 1, {}) if benchmark.stats else None
    if made is None:
        return
    for index in range(count):
        made.update(((index * 7919) % 97 + (50 if index % 31 == 0 else 0)) / 8)
    numbers = made.as_dict(include_data=False)["stats"]
    calls.append({key: round(value, 9) if isinstance(value, float) else value for key, value in numbers.items()})


@pytest.mark.benchmark(unheard_of=1)
def test_unknown_keyword(benchmark, calls):
    benchmark(abs, 1)


@pytest.mark.benchmark("positional")
def test_positional(benchmark, calls):
    benchmark(abs, 1)


def test_unused(benchmark, calls):
    pass
"""

FUNCTIONS = """
import json
import math
import re
import pytest

TEXT = json.dumps({"numbers": list(range(200)), "name": "x" * 100})
PATTERN = re.compile(r"[0-9]+")

FUNCTIONS = {
    "pass": lambda: None,
    "add": lambda: 1 + 1,
    "sum": lambda: sum(range(100)),
    "sort": lambda: sorted(range(500, 0, -1)),
    "json": lambda: json.loads(TEXT),
    "format": lambda: "{:>10.3f} {}".format(math.pi, 42),
    "regex": lambda: PATTERN.findall(TEXT),
    "dict": lambda: {index: str(index) for index in range(100)},
    "exception": lambda: int("7") if "7".isdigit() else None,
    "loop": lambda: [index * index for index in range(5000)],
}


@pytest.mark.parametrize("name", FUNCTIONS)
def test_function(benchmark, name):
    benchmark(FUNCTIONS[name])
"""


def run(python: str, folder: Path, *arguments: str) -> str:
    """Run pytest with this interpreter and return its output."""
    environment = {name: value for name, value in os.environ.items() if not name.startswith("PYTEST_")}
    done = subprocess.run(
        [python, "-m", "pytest", "-q", "-p", "no:cacheprovider", *arguments],
        cwd=folder, env=environment, capture_output=True, text=True, check=False,
    )  # fmt: skip
    return done.stdout + done.stderr


def behaviour(python: str, *arguments: str) -> dict[str, object]:
    """Return the observations of each test, and the outcome of the run."""
    with tempfile.TemporaryDirectory() as text:
        folder = Path(text)
        (folder / "pytest.ini").write_text("[pytest]\n")
        (folder / "test_behaviour.py").write_text(BEHAVIOUR)
        output = run(python, folder, "--benchmark-quiet", *arguments)
        seen: dict[str, object] = json.loads((folder / "seen.json").read_text())
        (end,) = re.findall(r"^(\d+ (?:passed|failed).*) in [\d.]+s", output, re.MULTILINE)  # plugins may warn after it
        return {**seen, "the run": end}


def medians(python: str) -> dict[str, float]:
    """Return the median seconds by function."""
    with tempfile.TemporaryDirectory() as text:
        folder = Path(text)
        (folder / "pytest.ini").write_text("[pytest]\n")
        (folder / "test_functions.py").write_text(FUNCTIONS)
        output = run(python, folder, "--benchmark-json=out.json", "--benchmark-max-time=0.1")
        if not (folder / "out.json").exists():
            sys.exit(output)
        content = json.loads((folder / "out.json").read_text())
        return {benchmark["param"]: benchmark["stats"]["median"] for benchmark in content["benchmarks"]}


def spread(values: Sequence[float]) -> str:
    return f"{min(values) * 1e6:9.3f} to {max(values) * 1e6:9.3f}"


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("original", help="a python with pytest-benchmark and without perfguard")
    parser.add_argument("--ours", default=sys.executable, help="a python with perfguard and without pytest-benchmark")
    parser.add_argument("--runs", type=int, default=15)
    given = parser.parse_args()
    different = 0
    for arguments in ((), ("--benchmark-disable",)):
        original, ours = behaviour(given.original, *arguments), behaviour(given.ours, *arguments)
        for name in sorted(original.keys() | ours.keys()):
            if original.get(name) != ours.get(name):
                different += 1
                print(f"{name} {' '.join(arguments)}\n   original {original.get(name)}\n   perfguard {ours.get(name)}")
        print(f"{' '.join(arguments) or 'measuring'}: {len(original)} tests compared, {different} different so far")
    runs: dict[str, list[dict[str, float]]] = {"original": [], "perfguard": []}
    for number in range(given.runs):
        order = [("original", given.original), ("perfguard", given.ours)]
        for name, python in order if number % 2 == 0 else order[::-1]:
            runs[name].append(medians(python))
    print(
        f"\n{'function':10} {'pytest-benchmark, us':>24} {'perfguard, us':>24}   ratio of the smallest of {given.runs} medians"
    )
    for function in runs["original"][0] if given.runs else ():
        theirs, own = ([run[function] for run in runs[name]] for name in ("original", "perfguard"))
        ratio = min(own) / min(theirs)
        print(f"{function:10} {spread(theirs):>24} {spread(own):>24}   {ratio:.3f}")


if __name__ == "__main__":
    main()
