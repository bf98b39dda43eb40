"""Write docs/options.md from `OPTION_SPECS`; a test checks that the page is up to date.

python docs/make_options.py
"""

from __future__ import annotations

from pathlib import Path

from pytest_perfguard.core.option_specs import OPTION_SPECS, OptionSpec
from pytest_perfguard.core.parsers import DEFAULT_FLOOR
from pytest_perfguard.core.units import format_duration, format_size
from pytest_perfguard.plugin.options import MODES, SETUP

HEAD = """\
# Options, ini keys, marker keywords

This page lists every setting of perfguard with its option, ini key, marker keyword and default.
It is generated from the code by `docs/make_options.py`.

- Precedence: marker > command line > ini file > default. Of several `perf` markers (function,
  class, module) the closest takes precedence, for each keyword.
- Write values with their unit: `5%`, `50us`, `1.5s`, `10MB` (10,000,000 bytes), `10MiB`
  (10,485,760 bytes).
- A wrong value or an unknown keyword is a usage error (exit status 4) that names the value, the
  place and the valid values. Options and ini keys are checked in every run, also if nothing is
  measured.
- `budget` is the time that perfguard may spend on measuring a test. A bound on the test itself is a
  limit: `max_time`, `max_memory` and so on, whose verdict is `over-limit`.
- TOML files may use their own types, also in `[tool.pytest]` (pytest 9): `perf_strict = true`,
  `perf_metrics = ["time", "memory"]`, `perf_report = "perf.html"`.

## Modes

Give one at a time.

| option | what it does |
|---|---|
"""

TABLE = """
## Settings

| option | ini key | marker keyword | meaning | default |
|---|---|---|---|---|
"""


def page() -> str:
    """Return the whole page."""
    modes = "".join(
        f"| `{mode.flag}{f'={mode.metavar}' if mode.metavar else ''}` | {mode.help} |\n" for mode in MODES.values()
    )
    modes += f"\nWith any mode, or without one:\n`{SETUP.flag}`, {SETUP.help.partition(';')[0]}.\n"
    return HEAD + modes + TABLE + "".join(map(_row, OPTION_SPECS))


def _row(spec: OptionSpec) -> str:
    option = f"`{spec.flag}{f'={spec.metavar}' if spec.metavar else ''}`" if spec.option else ""
    ini = f"`{spec.ini}`" if spec.option else ""
    marker = f"`{spec.name}`" if spec.marker else ""
    return f"| {option} | {ini} | {marker} | {spec.help} | {_default(spec)} |\n"


def _default(spec: OptionSpec) -> str:
    value = spec.default
    if spec.name == "floor":
        return f"{format_duration(DEFAULT_FLOOR.seconds)}, {format_size(DEFAULT_FLOOR.bytes)}"
    if isinstance(value, bool):
        return "on" if value else "off"
    if isinstance(value, float):
        return f"{value:.0%}" if spec.metavar == "PERCENT" else format_duration(value)
    if isinstance(value, tuple):
        return ",".join(value) or "none"
    return f"`{value}`" if value is not None else "none"


if __name__ == "__main__":
    Path(__file__).with_name("options.md").write_text(page(), encoding="utf-8")
