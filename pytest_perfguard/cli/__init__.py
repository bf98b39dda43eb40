"""The `perfguard` command: work with baselines and reports; only `bisect` runs tests of the user."""

from __future__ import annotations

import argparse
import gc
import io
import os
import sys
from collections.abc import Sequence

import pytest_perfguard
from pytest_perfguard.cli import (
    accept,
    bisect,
    compare,
    demo,
    doctor,
    exchange,
    history,
    init,
    merge,
    noise,
    prune,
    publish,
    report,
    show,
)
from pytest_perfguard.cli.common import print_lines
from pytest_perfguard.core.errors import PerfguardError, SettingError
from pytest_perfguard.core.option_specs import OPTION_SPECS

#: Modules of the verbs. `add` of each declares a verb and sets the function that runs it.
_VERBS = (init, doctor, show, compare, accept, prune, merge, history, bisect, report, publish, noise, exchange, demo)
_EPILOG = """\
exit status: 0 success; 1 a test became worse (compare, merge, history --fail-on-drift) or is missing (merge), a run
did not end as expected (noise, demo), no commit was found (bisect), or a PATTERN matches nothing; 2 wrong usage;
4 a file or a name cannot be used; 5 nothing was judged; 130 interrupted; 141 the reader of a pipe closed it
"""


def main(arguments: Sequence[str] | None = None) -> int:
    """Run the command and return its exit status."""
    if sys.stdout is None:  # closed by the shell (`>&-`): whatever is printed there is lost
        sys.stdout = io.StringIO()
    options = _parsed(arguments)
    if isinstance(sys.stdout, io.TextIOWrapper):
        sys.stdout.reconfigure(errors="backslashreplace")
    collecting = gc.isenabled()
    gc.disable()  # a large baseline is millions of objects that live until the end; collecting takes a third of the time
    try:
        status: int = options.run(options)
        sys.stdout.flush()
    except PerfguardError as error:
        print_lines(f"perfguard: {error}", error=True)
        return 2 if isinstance(error, SettingError) else 4
    except BrokenPipeError:  # `perfguard show | head`: not a success, since the output is incomplete
        os.dup2(os.open(os.devnull, os.O_WRONLY), sys.stdout.fileno())
        return 141
    except OSError as error:
        # The second name is the target of a rename; the first is that of a temporary file.
        name = error.filename2 or error.filename
        print_lines(f"perfguard: {f'{name}: ' if name else ''}{error.strerror or error}", error=True)
        return 4
    except KeyboardInterrupt:
        print_lines("perfguard: interrupted", error=True)
        return 130
    finally:
        if collecting:
            gc.enable()
    return status


def _parsed(arguments: Sequence[str] | None) -> argparse.Namespace:
    """Return the options. Patterns may also follow an option: `compare A B -o x.md PATTERN`, which argparse refuses."""
    parser = make_parser()
    options, rest = parser.parse_known_args(arguments)
    if rest and ("patterns" not in options or any(text.startswith("-") for text in rest)):
        parser.error(f"unrecognized arguments: {' '.join(rest)}; see: perfguard {options.verb} --help")
    if rest:
        options.patterns += rest
    return options


def make_parser() -> argparse.ArgumentParser:
    """Return the parser of the whole command line."""
    parser = argparse.ArgumentParser(
        prog="perfguard",
        description="Inspect and maintain perfguard's baselines and reports. Every verb has its own --help.",
        epilog=_EPILOG,
        formatter_class=argparse.RawDescriptionHelpFormatter,
    )
    default = next(spec.default for spec in OPTION_SPECS if spec.name == "file")
    parser.add_argument("--version", action="version", version=f"perfguard {pytest_perfguard.__version__}")
    parser.add_argument("--file", default=default, help="the baseline file (default: %(default)s)")
    verbs = parser.add_subparsers(dest="verb", required=True, metavar="VERB")
    for verb in _VERBS:
        verb.add(verbs)
    return parser
