"""Read and write pytest-benchmark's JSON, and convert it to records of the baseline file and back.

One object `{"machine_info", "commit_info", "benchmarks", "datetime", "version"}`; times are seconds per iteration.
"""

from __future__ import annotations

import csv
import io
import json
from collections.abc import Iterable, Mapping
from typing import Final

from pytest_perfguard.compat.stats import Stats
from pytest_perfguard.core.json_values import JsonObject, JsonValue, as_list, as_number, as_object
from pytest_perfguard.core.metric_names import metric_kind, metric_order
from pytest_perfguard.core.metric_stats import MetricStats
from pytest_perfguard.core.model import Record
from pytest_perfguard.core.text import csv_cell
from pytest_perfguard.core.tool_errors import BenchmarkFileError
from pytest_perfguard.engine.baseline.json_reader import is_finite

#: Version of pytest-benchmark with this format, for programs that check it.
VERSION: Final = "5.3.1"
#: Ids that pytest-benchmark writes for an unknown commit.
_NO_COMMIT: Final = ("", "unversioned", "unknown")
_NEEDED: Final = ("min", "max", "mean", "median", "stddev", "rounds")
_CSV_COLUMNS: Final = (
    "test", "metric", "unit", "estimate", "minimum", "median", "processes", "rounds", "iterations", "commit",
)  # fmt: skip


def read_benchmarks(text: str, path: str) -> JsonObject:
    """Return the content of a file of pytest-benchmark after checking each benchmark; errors name `path`.

    Raises
    ------
    BenchmarkFileError
        naming the invalid benchmark and field.
    """
    try:
        content: JsonValue = json.loads(text)
    except (ValueError, RecursionError) as error:
        raise BenchmarkFileError(path, f"not JSON: {error}") from None
    benchmarks = content.get("benchmarks") if isinstance(content, dict) else None
    if not isinstance(content, dict) or not isinstance(benchmarks, list):
        raise BenchmarkFileError(path, 'it has no list "benchmarks"')
    for index, benchmark in enumerate(benchmarks):
        _check(benchmark, index, path)
    return content


def benchmarks_in(content: JsonObject) -> dict[str, JsonObject]:
    """Return the benchmarks of such a content by node id. If one occurs twice, the last counts."""
    benchmarks = map(as_object, as_list(content["benchmarks"]))
    return {str(benchmark["fullname"]): benchmark for benchmark in benchmarks}


def records_from_benchmark_json(text: str, path: str) -> dict[str, Record]:
    """Return the benchmarks of a file by node id, as records of a baseline: one process each, without the machine's speed.

    The file does not contain benchmarks whose measurement failed. If one occurs twice, the last counts.

    Raises
    ------
    BenchmarkFileError
        if the file cannot be read.
    """
    content = read_benchmarks(text, path)
    commit = _commit_of(content.get("commit_info"))
    return {nodeid: _record(benchmark, commit) for nodeid, benchmark in benchmarks_in(content).items()}


def machine_of_benchmark_json(text: str, path: str) -> dict[str, object]:
    """Return the file's facts about its machine, and its date; they do not determine one of perfguard's machine classes."""
    content = read_benchmarks(text, path)
    machine = content.get("machine_info")
    facts = {name: value for name, value in machine.items() if name != "cpu"} if isinstance(machine, dict) else {}
    return {**facts, "datetime": content.get("datetime", "")}


def benchmark_json(
    benchmarks: Iterable[Mapping[str, object]],
    machine_info: Mapping[str, object],
    commit_info: Mapping[str, object],
    at: str,
) -> dict[str, object]:
    """Return the object of a file; `at` is a time in ISO 8601."""
    return {
        "machine_info": dict(machine_info),
        "commit_info": dict(commit_info),
        "benchmarks": [dict(benchmark) for benchmark in benchmarks],
        "datetime": at,
        "version": VERSION,
    }


def benchmark_json_from_records(
    records: Mapping[str, Record], *, machine_info: Mapping[str, object], commit_info: Mapping[str, object], at: str
) -> dict[str, object]:
    """Return the time metrics of a baseline as benchmarks. A round is the median of a process; `min` is the smallest minimum.

    A measurement point with a name (`time:parse`) is a separate benchmark, `NODEID (parse)`.
    """
    benchmarks = [
        _benchmark(nodeid, name.partition(":")[2], kept, record)
        for nodeid, record in sorted(records.items())
        for name, kept in sorted(record.metrics.items())
        if metric_kind(name) == "time"
    ]
    return benchmark_json(benchmarks, machine_info, commit_info, at)


def csv_from_records(records: Mapping[str, Record]) -> str:
    """Return a CSV table with one line for each metric of each record, in seconds, bytes and blocks per iteration."""
    text = io.StringIO()
    writer = csv.writer(text, lineterminator="\n")
    writer.writerow(_CSV_COLUMNS)
    for nodeid, record in sorted(records.items()):
        for name, kept in sorted(record.metrics.items(), key=lambda item: metric_order(item[0])):
            median = Stats(kept.medians).median
            iterations = record.iterations.get(name.partition(":")[2], "")
            cells = [
                nodeid, name, kept.unit, kept.estimate, kept.minimum, median, len(kept.minima), kept.rounds, iterations,
                record.commit,
            ]  # fmt: skip
            writer.writerow(map(csv_cell, cells))
    return text.getvalue()


def to_text(content: Mapping[str, object]) -> str:
    """Return the text of a file. A value that JSON cannot represent, such as a parameter, is written as its `repr`."""
    return json.dumps(content, ensure_ascii=True, indent=4, default=lambda value: f"UNSERIALIZABLE[{value!r}]")


def _record(benchmark: Mapping[str, object], commit: str) -> Record:
    stats, options = as_object(benchmark["stats"]), benchmark.get("options")
    collector = {"collector": False} if isinstance(options, dict) and options.get("disable_gc") is True else {}
    minimum, median, rounds = (as_number(stats[name]) for name in ("min", "median", "rounds"))
    time = MetricStats("s", (minimum,), (median,), int(rounds))
    # The machine's speed is unknown, which a record marks with 0.
    iterations = {"": int(as_number(stats.get("iterations", 1)))}
    return Record("", commit, 0.0, iterations, {"time": time}, conditions=collector, paces=(0.0,))


def _benchmark(nodeid: str, label: str, kept: MetricStats, record: Record) -> dict[str, object]:
    stats: dict[str, object] = dict(Stats(kept.medians).as_dict())
    stats |= {"min": kept.minimum, "data": list(kept.medians), "iterations": record.iterations.get(label, 1)}
    suffix = f" ({label})" if label else ""
    name = nodeid.rpartition("::")[2] if "[" not in nodeid else nodeid.partition("[")[0].rpartition("::")[2]
    param = nodeid.partition("[")[2].removesuffix("]") or None
    return {
        "group": None,
        "name": f"{name}[{param}]{suffix}" if param else f"{name}{suffix}",
        "fullname": f"{nodeid}{suffix}",
        "params": None,
        "param": param,
        "extra_info": {},
        "options": {},
        "stats": stats,
    }


def _commit_of(info: object) -> str:
    """Return a commit in the form of the baseline file: twelve digits, followed by `+` if the tree had other changes."""
    if not isinstance(info, dict) or info.get("id") in (None, *_NO_COMMIT):
        return ""
    return str(info["id"])[:12] + ("+" if info.get("dirty") else "")


def _check(benchmark: object, index: int, path: str) -> None:
    if not isinstance(benchmark, dict) or not isinstance(benchmark.get("fullname"), str):
        raise BenchmarkFileError(path, f"benchmarks[{index}] has no fullname")
    where, stats = f"the benchmark {benchmark['fullname']}", benchmark.get("stats")
    if not isinstance(stats, dict):
        raise BenchmarkFileError(path, f'{where} has no "stats"')
    for name in _NEEDED:
        if not _is_number(stats.get(name)):
            raise BenchmarkFileError(path, f"{where}: stats.{name} is {stats.get(name)!r:.60}, expected a number")
    if stats["rounds"] < 1 or stats["min"] > stats["median"]:
        raise BenchmarkFileError(path, f"{where}: its stats contradict each other")
    if not isinstance(stats.get("iterations", 1), int) or stats.get("iterations", 1) < 1:
        raise BenchmarkFileError(
            path, f"{where}: stats.iterations is {stats['iterations']!r:.60}, expected a whole number"
        )
    data = stats.get("data", [])
    if not isinstance(data, list) or not all(map(_is_number, data)):
        raise BenchmarkFileError(path, f"{where}: stats.data is not a list of numbers")
    # Added by pytest-benchmark 3.1.
    stats.setdefault("ops", 1 / stats["mean"] if stats["mean"] else 0.0)


def _is_number(value: object) -> bool:
    return is_finite(value) and value >= 0
