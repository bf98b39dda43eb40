"""Measure the accuracy of the leak check on functions that are known to leak or not, each in fresh processes.

    python benchmarks/leaks.py [--repetitions 10] [--only NAME] [--verbose]

Prints one row per function: the expected result, how often each result occurred, and the seconds of a check.
"""

from __future__ import annotations

import argparse
import asyncio
import inspect
import json
import statistics
import subprocess
import sys
import time
from collections import Counter

from leak_cases import CASES, POOLED, clean_up
from tabulate import tabulate

from pytest_perfguard import CannotCheck, LeakError, MemoryWatch


def check_one(name: str, *, verbose: bool) -> None:
    """Check one function in this process, and print the result as JSON."""
    watch = MemoryWatch()
    watch.count("connections", lambda: list(POOLED.lent))
    function = CASES[name].function
    start = time.perf_counter()
    try:
        if inspect.iscoroutinefunction(function):
            asyncio.run(watch.check_async(function))
        else:
            watch.check(function)
        answer = "clean"
    except LeakError as error:
        answer = "leak: " + "; ".join(line.removeprefix("leak: ") for line in error.lines if line.startswith("leak: "))
        if verbose:
            print(error, file=sys.stderr)
    except CannotCheck as error:
        answer = f"cannot tell: {error}"
    seconds = time.perf_counter() - start
    clean_up()
    print(json.dumps({"answer": answer, "seconds": seconds}))


NOUNS = {
    "memory": "of memory per call", "native": "native memory", "mapped": "mapped memory", "files": "open file",
    "sockets": "socket", "threads": " thread per", "native-threads": "native thread", "children": "child process",
    "tasks": "asyncio task", "connections": "connections",
}  # fmt: skip


def is_right(expected: str, answer: str) -> bool:
    if expected in ("clean", "unseen"):
        return answer == "clean"
    return NOUNS[expected] in answer.replace("1 thread", "1  thread")


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--repetitions", type=int, default=10)
    parser.add_argument("--only", default="")
    parser.add_argument("--verbose", action="store_true", help="show the explanations")
    parser.add_argument("--one", help=argparse.SUPPRESS)
    arguments = parser.parse_args()
    if arguments.one:
        check_one(arguments.one, verbose=arguments.verbose)
        return
    rows, wrong, seconds_of_clean, false_alarms, misses = [], 0, [], 0, 0
    for name, case in CASES.items():
        if arguments.only not in name:
            continue
        answers, seconds = [], []
        for _ in range(arguments.repetitions):
            command = [sys.executable, __file__, "--one", name, *["--verbose"] * arguments.verbose]
            done = subprocess.run(command, stdout=subprocess.PIPE, text=True, check=True)
            result = json.loads(done.stdout.splitlines()[-1])
            answers.append(result["answer"])
            seconds.append(result["seconds"])
        right = sum(is_right(case.expected, answer) for answer in answers)
        wrong += case.expected != "unseen" and right < len(answers)
        false_alarms += sum(answer != "clean" for answer in answers) if case.expected == "clean" else 0
        misses += len(answers) - right if case.expected not in ("clean", "unseen") else 0
        if case.expected == "clean":
            seconds_of_clean.append(statistics.median(seconds))
        told = Counter(answers).most_common(1)[0][0]
        rows.append([name, case.expected, told[:70], f"{right}/{len(answers)}", f"{statistics.median(seconds):.2f}"])
        print(f"{len(rows)} of {len(CASES)} functions: {name}", file=sys.stderr)
    print(tabulate(rows, ["function", "expected", "answer (the most frequent)", "as expected", "s"]))
    for name, case in CASES.items():
        if case.remark and arguments.only in name:
            print(f"not to be seen: {name}: {case.remark}")
    print(f"{false_alarms} false alarms, {misses} misses; {wrong} functions with a wrong answer")
    if seconds_of_clean:
        print(
            f"a clean check takes {statistics.median(seconds_of_clean):.2f} s (median), {max(seconds_of_clean):.2f} s at most"
        )


if __name__ == "__main__":
    main()
