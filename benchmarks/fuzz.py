"""Coverage-guided fuzzing of everything that reads what others wrote: is there any input that ends in an error that is not ours?

    pip install atheris
    python benchmarks/fuzz.py baseline            # or: report, pipe, settings, series
    python benchmarks/fuzz.py pipe -max_total_time=300

Arguments after the target go to libFuzzer. It stops at the first input that ends in a traceback, and writes it to a file; the
same command with that file's name repeats it. What can be read must also be written and read again as the same.
"""

from __future__ import annotations

import json
import sys
from collections.abc import Callable, Mapping
from dataclasses import fields
from typing import Final

try:
    import atheris
except ImportError:
    sys.exit("this needs atheris, which has packages for CPython on Linux and macOS: pip install atheris")

with atheris.instrument_imports(include=["pytest_perfguard", "json"]):
    from pytest_perfguard.core.errors import (
        BaselineUnreadable,
        ProtocolError,
        ReportUnreadable,
        SeriesError,
        SettingError,
    )
    from pytest_perfguard.core.labels import read_series
    from pytest_perfguard.core.option_specs import OPTION_SPECS
    from pytest_perfguard.engine.baseline.schema import from_text, to_text
    from pytest_perfguard.engine.report.json import json_report, read_report
    from pytest_perfguard.engine.report.markdown import markdown_report
    from pytest_perfguard.engine.runner.protocol import _MESSAGE_TYPES, _NESTED, decode, encode

BASELINE: Final = (
    '{"schema": 1, "classes": {"linux": {"machine": {}, "stamp": {}, "tests": {"a.py::b": {"commit": "", "conditions": '
    '{"single": true}, "imports": ["x"], "iterations": {"": 3}, "kernel": 0.5, "metrics": {"time": {"medians": [2.0], '
    '"minima": [1.0], "rounds": 4, "unit": "s"}}, "paces": [0.5], "source": "h"}}}}}'
)


REPORT: Final = (
    '{"schema": 1, "mode": "against", "at": "", "commit": "", "against": "main", "complete": true, "machine": {"class": "linux"}, '
    '"settings": {"strict": true}, "summary": {}, "tests": [{"nodeid": "a.py::b", "verdict": "regression", "seconds": 1.5, '
    '"processes": 4, "paired": {"revision": "main", "pairs": 4, "pinned": true, "why": ""}, "reason": "", "broken": false, '
    '"notes": ["n"], "file": "a.py", "line": 3, "base": "main", "headline": "h", "explanation": ["x"], "record": null, '
    '"metrics": [{"name": "time", "unit": "s", "baseline": 1.0, "candidate": 2.0, "ratio": 2.0, "interval": [1.9, 2.1], '
    '"verdict": "regression", "rounds": 160, "limit": 1.05, "smallest_detectable": null, "reason": "", "details": [], "samples": '
    '{"baseline": {"minima": [1.0], "medians": [1.0], "quantiles": []}, "candidate": {"minima": [2.0], "medians": [2.0], '
    '"quantiles": [2.0, 2.0, 2.0, 2.0, 2.0, 2.0, 2.0]}, "log_ratios": [0.7]}}]}]}'
)


#: A right value for each kind of field.
RIGHT: Final[Mapping[str, object]] = {
    "str": "x", "int": 1, "bool": True, "float": 0.5, "list[str]": ["x"], "Sequence[str]": ["x"], "dict[str, str]": {"x": "y"},
    "Mapping[str, float]": {"x": 0.5}, "Mapping[str, list[int]]": {"time": [1, 2]}, "UserTotals": {"x": [1, 2.0]},
}  # fmt: skip


def right(kind: type) -> dict[str, object]:
    """The fields of a message, or of what is in one, that is understood."""
    content: dict[str, object] = {}
    for field in fields(kind):
        part, many = _NESTED.get(str(field.type), (None, False))
        content[field.name] = RIGHT[str(field.type)] if part is None else [right(part)] if many else right(part)
    return content


def anything(choose: atheris.FuzzedDataProvider, depth: int = 0) -> object:
    """Some JSON."""
    kind = choose.ConsumeIntInRange(0, 7 if depth < 3 else 5)
    if kind < 2:
        return choose.ConsumeUnicode(8)
    if kind == 2:
        return choose.ConsumeInt(9)
    if kind == 3:
        return choose.ConsumeFloat()
    if kind < 6:
        return choose.PickValueInList([None, True, False, "", "time", "s", 0, -1, 1e308, 10**400, 2**63])
    count = range(choose.ConsumeIntInRange(0, 3))
    if kind == 6:
        return [anything(choose, depth + 1) for _ in count]
    return {choose.ConsumeUnicode(8): anything(choose, depth + 1) for _ in count}


def damaged(value: object, choose: atheris.FuzzedDataProvider) -> object:
    """The value with one thing in it replaced by something."""
    if isinstance(value, dict | list) and value and choose.ConsumeIntInRange(0, 7):
        copy = value.copy()
        key = choose.PickValueInList(list(value) if isinstance(value, dict) else list(range(len(value))))
        if not choose.ConsumeIntInRange(0, 5):
            del copy[key]
        else:
            copy[key] = damaged(copy[key], choose)
        return copy
    return anything(choose)


def with_form(value: object, data: bytes) -> bytes:
    """Half of all inputs are damage to something that is right: bytes alone hardly ever get as far as the fields."""
    if not data or data[0] % 2:
        return data[1:]
    return json.dumps(damaged(value, atheris.FuzzedDataProvider(data[1:]))).encode()


def fuzz_baseline(data: bytes) -> None:
    try:
        baseline = from_text(with_form(json.loads(BASELINE), data).decode("utf-8"), "fuzzed.json")
    except (UnicodeDecodeError, BaselineUnreadable):
        return
    if from_text(to_text(baseline), "again.json") != baseline:
        raise AssertionError(baseline)


def fuzz_report(data: bytes) -> None:
    try:
        report = read_report(with_form(json.loads(REPORT), data).decode("utf-8"), "fuzzed.json")
    except (UnicodeDecodeError, ReportUnreadable):
        return
    markdown_report(report)
    text = json_report(report)
    if json_report(read_report(text, "again.json")) != text:
        raise AssertionError(report)


def fuzz_pipe(data: bytes) -> None:
    kinds = list(_MESSAGE_TYPES.values())
    kind = kinds[data[-1] % len(kinds)] if data else kinds[0]
    try:
        message = decode(with_form({"type": kind.__name__, **right(kind)}, data))
    except ProtocolError:
        return
    if decode(encode(message)) != message:
        raise AssertionError(message)


def fuzz_settings(data: bytes) -> None:
    if not data:
        return
    knob, text = OPTION_SPECS[data[0] % len(OPTION_SPECS)], data[1:].decode("utf-8", "surrogateescape")
    try:
        knob.parse(text)
    except SettingError:
        return


def fuzz_series(data: bytes) -> None:
    try:
        read_series(data.decode("utf-8", "surrogateescape"))
    except SeriesError:
        return


TARGETS: Final[Mapping[str, Callable[[bytes], None]]] = {
    "baseline": fuzz_baseline,
    "report": fuzz_report,
    "pipe": fuzz_pipe,
    "settings": fuzz_settings,
    "series": fuzz_series,
}


def words() -> list[str]:
    """What the fuzzer may put together: names and values that the readers know."""
    names = {
        name
        for kind in _MESSAGE_TYPES.values()
        for name in ("type", kind.__name__, *(field.name for field in fields(kind)))
    }
    for part in json.loads(BASELINE)["classes"]["linux"]["tests"].values():
        names |= {"schema", "classes", "machine", "stamp", "tests", *part, *part["metrics"]["time"]}
    report = json.loads(REPORT)
    names |= {*report, *report["tests"][0], *report["tests"][0]["metrics"][0]}
    return [
        *sorted(json.dumps(name) for name in names),
        "null",
        "true",
        "NaN",
        "1e400",
        "-0.0",
        "[]",
        "{}",
        "<<<<<<<",
        "50us",
        "5%",
        "1KiB",
    ]


def main() -> None:
    if len(sys.argv) < 2 or sys.argv[1] not in TARGETS:
        sys.exit(f"choose a target: {', '.join(TARGETS)}")
    import tempfile
    from pathlib import Path

    target = TARGETS[sys.argv.pop(1)]
    with tempfile.TemporaryDirectory() as folder:
        dictionary, seeds = Path(folder, "words"), Path(folder, "seeds")
        escaped = (word.replace("\\", "\\\\").replace('"', '\\"') for word in words())
        dictionary.write_text("".join(f'"{word}"\n' for word in escaped))
        seeds.mkdir()
        (seeds / "baseline").write_text(f"1{BASELINE}")
        (seeds / "report").write_text(f"1{REPORT}")
        for kind in _MESSAGE_TYPES.values():
            (seeds / kind.__name__).write_bytes(b"1" + encode(kind(**right(kind))))
        atheris.Setup([sys.argv[0], f"-dict={dictionary}", "-max_len=4096", *sys.argv[1:], str(seeds)], target)
        atheris.Fuzz()


if __name__ == "__main__":
    main()
