"""The flags of this interpreter, so that a measuring process is started as this one was."""

from __future__ import annotations

import sys
from collections.abc import Iterator, Mapping, Sequence
from typing import Final

#: Flags without a value, by the name of their field in `sys.flags`; a field above 1 repeats its flag.
_FLAG_LETTERS: Final = {
    "bytes_warning": "b", "debug": "d", "dont_write_bytecode": "B", "isolated": "I", "ignore_environment": "E", "no_site": "S",
    "no_user_site": "s", "optimize": "O", "quiet": "q", "safe_path": "P", "verbose": "v",
}  # fmt: skip
#: What `-I` sets by itself.
_IMPLIED_BY_ISOLATED: Final = frozenset({"ignore_environment", "no_user_site", "safe_path"})
#: New in Python 3.11: an older interpreter refuses it.
SAFE_PATH: Final = "-P"
#: Keeps compiled files in a folder of their own.
PYCACHE_PREFIX: Final = "pycache_prefix"


def interpreter_flags() -> tuple[str, ...]:
    """The flags with which this interpreter runs, whether its command line or its environment set them."""
    fields = {name: int(getattr(sys.flags, name, 0)) for name in _FLAG_LETTERS}
    return format_flags(fields, sys._xoptions, sys.warnoptions)


def format_flags(
    fields: Mapping[str, int], x_options: Mapping[str, str | bool], warnings: Sequence[str]
) -> tuple[str, ...]:
    """The command line of these settings, which are those of `sys.flags`, `-X` and `-W`. Pure."""
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
    """The same flags, with compiled files kept in this folder where they may not be written beside the source."""
    kept = [flag for flag in flags if flag != "-B"]
    has_prefix = any(flag.startswith(f"{PYCACHE_PREFIX}=") for flag in flags)
    return (*kept, *(() if has_prefix else ("-X", f"{PYCACHE_PREFIX}={folder}")))


def portable_flags(flags: Sequence[str]) -> tuple[str, ...]:
    """The flags that an interpreter of another version takes, too."""
    return tuple(flag for flag in flags if flag != SAFE_PATH)
