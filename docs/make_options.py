"""Writes docs/options.md from the settings table; a test keeps the two equal.

python docs/make_options.py
"""

from __future__ import annotations

from pathlib import Path

from pytest_perfguard.core.option_specs import OPTION_SPECS, OptionSpec
from pytest_perfguard.core.parsers import DEFAULT_FLOOR, Floor
from pytest_perfguard.core.units import format_duration, format_size
from pytest_perfguard.plugin.options import MODES, SETUP

HEAD = """\
# Options, ini keys, marker keywords

Made from the settings table by `docs/make_options.py`.

Precedence: marker > command line > ini file > default. Of several `perf` markers (function, class, module) the closest wins,
keyword by keyword. Values are written with their unit: `5%`, `50us`, `1.5s`, `10MB` (10,000,000 bytes), `10MiB` (10,485,760).
A wrong value or an unknown keyword is a usage error (exit status 4) that names the value, the place and the valid choices; one of an
option or an ini key in every run, also where nothing is measured. TOML files may use their own types, in `[tool.pytest]` (pytest 9) as
well: `perf_strict = true`, `perf_metrics = ["time", "memory"]`, `perf_report = "perf.html"`.

## Modes: one at a time

| option | what it does |
|---|---|
"""

TABLE = """
## Settings

| option | ini key | marker keyword | meaning | default |
|---|---|---|---|---|
"""


def page() -> str:
    """The whole page."""
    modes = "".join(
        f"| `{flag}{f'={metavar}' if metavar else ''}` | {text} |\n" for flag, text, metavar in MODES.values()
    )
    modes += f"\nWith any of them, or none: `{SETUP.flag}`, {SETUP.help.partition(';')[0]}.\n"
    return HEAD + modes + TABLE + "".join(map(_row, OPTION_SPECS))


def _row(knob: OptionSpec) -> str:
    option = f"`{knob.flag}{f'={knob.metavar}' if knob.metavar else ''}`" if knob.option else ""
    ini = f"`{knob.ini}`" if knob.option else ""
    marker = f"`{knob.name}`" if knob.marker else ""
    return f"| {option} | {ini} | {marker} | {knob.help} | {_default(knob)} |\n"


def _default(knob: OptionSpec) -> str:
    value = knob.default
    if isinstance(value, Floor):
        return f"{format_duration(DEFAULT_FLOOR.seconds)}, {format_size(DEFAULT_FLOOR.bytes)}"
    if isinstance(value, bool):
        return "on" if value else "off"
    if isinstance(value, float):
        return f"{value:.0%}" if knob.metavar == "PERCENT" else format_duration(value)
    if isinstance(value, tuple):
        return ",".join(value) or "none"
    return f"`{value}`" if value is not None else "none"


if __name__ == "__main__":
    Path(__file__).with_name("options.md").write_text(page(), encoding="utf-8")
