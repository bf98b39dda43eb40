"""Flags of this interpreter, with which measuring processes are started as well."""

from __future__ import annotations

import sys
from collections.abc import Iterator, Mapping, Sequence
from typing import Final

#: Flags without a value, by the name of their field in `sys.flags`. A field above 1 repeats its flag.
_FLAG_LETTERS: Final = {
    "bytes_warning": "b", "debug": "d", "dont_write_bytecode": "B", "isolated": "I", "ignore_environment": "E", "no_site": "S",
    "no_user_site": "s", "optimize": "O", "quiet": "q", "safe_path": "P", "verbose": "v",
}  # fmt: skip
#: Fields that `-I` sets by itself.
_IMPLIED_BY_ISOLATED: Final = frozenset({"ignore_environment", "no_user_site", "safe_path"})
#: New in Python 3.11; an older interpreter rejects it.
SAFE_PATH: Final = "-P"
#: Option that keeps compiled files in a folder of their own.
PYCACHE_PREFIX: Final = "pycache_prefix"


def interpreter_flags() -> tuple[str, ...]:
    """Return the flags in effect, set by the command line or by the environment."""
    fields = {name: int(getattr(sys.flags, name, 0)) for name in _FLAG_LETTERS}
    return format_flags(fields, sys._xoptions, sys.warnoptions)


def format_flags(
    fields: Mapping[str, int], x_options: Mapping[str, str | bool], warnings: Sequence[str]
) -> tuple[str, ...]:
    """Return the command line for these values of `sys.flags`, `-X` and `-W`. Pure."""
    return tuple(_flags(fields, x_options, warnings))


def _flags(fields: Mapping[str, int], x_options: Mapping[str, str | bool], warnings: Sequence[str]) -> Iterator[str]:
    for name, letter in _FLAG_LETTERS.items():
        if fields.get(name) and not (fields.get("isolated") and name in _IMPLIED_BY_ISOLATED):
            yield "-" + letter * fields[name]
    for name, value in x_options.items():
        yield from ("-X", name if value is True else f"{name}={value}")
    for warning in warnings:
        yield from ("-W", warning)


def with_bytecode_folder(flags: Sequence[str], folder: str) -> tuple[str, ...]:
    """Return the flags with compiled files in this folder, if they may not be written beside the source."""
    kept = [flag for flag in flags if flag != "-B"]
    has_prefix = any(flag.startswith(f"{PYCACHE_PREFIX}=") for flag in flags)
    return (*kept, *(() if has_prefix else ("-X", f"{PYCACHE_PREFIX}={folder}")))


def portable_flags(flags: Sequence[str]) -> tuple[str, ...]:
    """Return the flags that an interpreter of another version accepts."""
    return tuple(flag for flag in flags if flag != SAFE_PATH)
