"""pytest-benchmark's `cprofile`: one more call under the standard library's profiler, after the measurement."""

from __future__ import annotations

from collections.abc import Iterator, Mapping, Sequence
from pathlib import Path
from typing import TYPE_CHECKING, Final

from pytest_perfguard.compat.call import BenchmarkCall
from pytest_perfguard.core.errors import SettingError

if TYPE_CHECKING:
    from cProfile import Profile
    from pstats import Stats

#: The columns of pytest-benchmark's rows, in its order.
COLUMNS: Final = (
    "ncalls_recursion", "ncalls", "tottime", "tottime_per", "cumtime", "cumtime_per", "function_name",
)  # fmt: skip
#: The column by which rows are sorted if only a marker requests the profile.
DEFAULT_COLUMN: Final = "cumtime"
#: Rows that a file keeps of each benchmark.
MAX_SAVED: Final = 25
_HEADERS: Final = ("ncalls", "tottime", "percall", "cumtime", "percall", "filename:lineno(function)")

#: A function of a profile, by column.
Row = Mapping[str, float | str]


def parse_column(text: object) -> str:
    """Return the column to sort by.

    Raises
    ------
    SettingError
        for a name that is none of `COLUMNS`.
    """
    if text not in COLUMNS:
        raise SettingError(f"{text!r} is not a column of a profile (valid: {', '.join(COLUMNS)})")
    return str(text)


def parse_loops(text: object) -> int:
    """Return the number of profiled calls; 0 stands for `auto`, as many as a round has.

    Raises
    ------
    SettingError
        for anything but `auto` and a whole number of at least 1.
    """
    if text == "auto":
        return 0
    try:
        loops = int(str(text))
    except ValueError:
        loops = 0
    if loops < 1:
        raise SettingError(f"{text!r} is not a number of calls (valid: auto, or a whole number of at least 1)")
    return loops


def profile_call(work: BenchmarkCall, loops: int) -> Stats:
    """Profile calls of a plain function: `setup` once before them, `teardown` after each, neither profiled."""
    profile = _profile()
    arguments = work.arguments()
    args, kwargs = arguments
    for _ in range(loops):
        profile.runcall(work.target, *args, **kwargs)
        work.finish(arguments)
    return _stats(profile)


async def profile_call_async(work: BenchmarkCall, loops: int) -> Stats:
    """Profile awaited calls of a coroutine function, inside the running event loop."""
    profile = _profile()
    arguments = await work.arguments_async()
    args, kwargs = arguments
    for _ in range(loops):
        profile.enable()
        try:
            await work.coroutine_function(*args, **kwargs)
        finally:
            profile.disable()
        await work.finish_async(arguments)
    return _stats(profile)


def rows_of(stats: Stats, column: str, limit: int) -> list[Row]:
    """Return the functions with the largest values in a column, largest first, in pytest-benchmark's form; names ascend."""
    # pstats declares no types for its tables.
    table: Mapping[tuple[str, int, str], tuple[int, int, float, float, object]] = stats.stats  # type: ignore[attr-defined]
    rows = [_row(place, entry) for place, entry in table.items()]
    if column == "function_name":
        return sorted(rows, key=lambda row: str(row[column]))[:limit]
    key = "ncalls" if column == "ncalls_recursion" else column
    return sorted(rows, key=lambda row: -float(row[key]))[:limit]


def table_lines(profiles: Sequence[tuple[str, Stats]], column: str, limit: int) -> Iterator[str]:
    """Return a table for each profiled benchmark, in seconds."""
    from tabulate import tabulate

    for name, stats in profiles:
        cells = [
            [
                row["ncalls_recursion"],
                *(f"{row[key]:.6f}" for key in ("tottime", "tottime_per", "cumtime", "cumtime_per")),
                row["function_name"],
            ]
            for row in rows_of(stats, column, limit)
        ]
        yield f"cProfile of {name} (time in s, by {column})"
        align = [*["right"] * (len(_HEADERS) - 1), "left"]
        yield from tabulate(cells, _HEADERS, tablefmt="simple", colalign=align, disable_numparse=True).splitlines()
        yield ""


def _row(place: tuple[str, int, str], entry: tuple[int, int, float, float, object]) -> Row:
    primitive, calls, own, cumulative, _callers = entry
    file, line, name = place
    return {
        "ncalls_recursion": f"{calls}/{primitive}" if calls != primitive else str(calls),
        "ncalls": calls,
        "tottime": own,
        "tottime_per": own / calls if calls else 0.0,
        "cumtime": cumulative,
        "cumtime_per": cumulative / primitive if primitive else 0.0,
        "function_name": f"{_short(file)}:{line}({name})",
    }


def _short(file: str) -> str:
    """Return the path of a file of the project relative to the working folder's parent, as pytest-benchmark writes it."""
    here = Path.cwd()
    return Path(file).relative_to(here.parent).as_posix() if Path(file).is_relative_to(here) else file


def _profile() -> Profile:
    from cProfile import Profile

    return Profile()


def _stats(profile: Profile) -> Stats:
    from pstats import Stats

    return Stats(profile)
