"""The flags of the running interpreter, as a command line."""

from __future__ import annotations

import json
import subprocess
import sys

import pytest

from pytest_perfguard.engine.runner.interpreter_flags import format_flags, with_bytecode_folder

PROGRAM = (
    "import json, sys; from pytest_perfguard.engine.runner.interpreter_flags import interpreter_flags as flags;"
    "print(json.dumps([list(sys.flags), sys._xoptions, sys.warnoptions, flags()]))"
)


def test_each_field_has_its_letter_and_values_repeat_it():
    assert format_flags({"optimize": 2, "bytes_warning": 1}, {}, []) == ("-b", "-OO")
    assert format_flags({"no_user_site": 1}, {"dev": True, "tracemalloc": "5"}, ["error"]) == (
        "-s", "-X", "dev", "-X", "tracemalloc=5", "-W", "error"
    )  # fmt: skip
    assert format_flags({}, {}, []) == ()


def test_what_isolation_means_is_not_written_twice():
    assert format_flags({"isolated": 1, "ignore_environment": 1, "no_user_site": 1, "safe_path": 1}, {}, []) == ("-I",)


@pytest.mark.parametrize(
    "given",
    [["-O"], ["-I", "-bb"], ["-X", "dev"], ["-s", "-E", "-W", "error::UserWarning", "-X", "importtime"]],
    ids=str,
)
def test_an_interpreter_started_with_them_is_in_the_same_state(given):
    first = run(given)
    assert run(first[3])[:3] == first[:3]


def run(flags):
    done = subprocess.run([sys.executable, *flags, "-c", PROGRAM], capture_output=True, text=True, check=True)
    fields, x_options, warnings, found = json.loads(done.stdout)
    return [fields, x_options, sorted(set(warnings)), found]


def test_a_folder_for_compiled_files_that_the_user_chose_stays():
    assert with_bytecode_folder(["-B", "-X", "pycache_prefix=/x"], "/y") == ("-X", "pycache_prefix=/x")
    assert with_bytecode_folder(["-O"], "/y") == ("-O", "-X", "pycache_prefix=/y")
