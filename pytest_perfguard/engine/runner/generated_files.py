"""Copy files that the build of this tree has written and git ignores to the base, which cannot be imported without
them.

An example is `_version.py` of setuptools_scm. Only files that cannot contain measured code are copied: small modules of
constants, text files named after the version, and the metadata of an installation. Other files require a build of the
base.
"""

from __future__ import annotations

import ast
import os
import shutil
from collections.abc import Iterator
from pathlib import Path, PurePosixPath
from typing import Final

from pytest_perfguard.core.errors import RevisionError
from pytest_perfguard.core.git import git
from pytest_perfguard.engine.runner.path_map import is_in_tree

#: A larger file contains tables, whose size is part of the measurement.
MAX_FILE_BYTES: Final = 8192
_TEXT_SUFFIXES: Final = ("", ".txt", ".json", ".toml", ".cfg", ".ini")
_CONSTANT_STATEMENTS: Final = (
    ast.Expr,
    ast.Assign,
    ast.AnnAssign,
    ast.Import,
    ast.ImportFrom,
    ast.If,
    ast.Try,
    ast.Pass,
)
_CODE_EXPRESSIONS: Final = (
    ast.Lambda, ast.ListComp, ast.SetComp, ast.DictComp, ast.GeneratorExp, ast.Await, ast.Yield, ast.YieldFrom, ast.NamedExpr,
)  # fmt: skip
#: Methods of strings that take a version apart.
_TEXT_METHODS: Final = {
    "split",
    "rsplit",
    "partition",
    "rpartition",
    "strip",
    "lstrip",
    "rstrip",
    "join",
    "format",
    "replace",
    "startswith",
}
#: Modules from which a module of constants may import names.
_ANNOTATION_MODULES: Final = {"typing", "typing_extensions", "__future__", "collections", "types", "datetime"}


def copy_generated(head: Path, base: Path) -> list[str]:
    """Copy the files written by the head's build to the base, if the base has their folder and not the file.

    Returns the names of the copied files.

    Raises
    ------
    RevisionError
        if a file cannot be copied.
    """
    copied = []
    try:
        for name in _generated_files(head):
            if (base / name).exists() or not (base / name).parent.is_dir():
                continue
            if name.endswith("/"):
                shutil.copytree(head / name, base / name, symlinks=True)
            else:
                shutil.copy2(head / name, base / name, follow_symlinks=False)
            copied.append(name)
    except (OSError, shutil.Error) as error:
        raise RevisionError(f"cannot copy what the build of this tree has written to the base: {error}") from None
    return copied


def is_constant(source: str) -> bool:
    """Return whether this module contains only constants: no function, no class, no code that runs when it is used.
    Pure."""
    try:
        tree = ast.parse(source)
    except (SyntaxError, ValueError, RecursionError):
        return False
    return all(map(_is_constant, tree.body))


def _generated_files(head: Path) -> Iterator[str]:
    # A folder that git ignores completely is listed as one name with a trailing slash.
    names = git(head, "ls-files", "-z", "--others", "--ignored", "--exclude-standard", "--directory").split("\0")
    for name in filter(None, names):
        if not is_in_tree(os.fspath(head / name), head):
            continue
        if name.endswith(".egg-info/") or (not name.endswith("/") and _is_harmless(head / name)):
            yield name


def _is_harmless(file: Path) -> bool:
    name = PurePosixPath(file.name)
    is_text = "version" in name.stem.lower() and name.suffix in _TEXT_SUFFIXES
    if (
        not (is_text or name.suffix == ".py")
        or file.is_symlink()
        or not file.is_file()
        or file.stat().st_size > MAX_FILE_BYTES
    ):
        return False
    try:
        return is_text or is_constant(file.read_text(encoding="utf-8"))
    except (OSError, UnicodeDecodeError):
        return False


def _is_constant(statement: ast.stmt) -> bool:
    if not isinstance(statement, _CONSTANT_STATEMENTS):
        return False
    if isinstance(statement, ast.Import):
        return all(alias.name.partition(".")[0] in _ANNOTATION_MODULES for alias in statement.names)
    if isinstance(statement, ast.ImportFrom):
        return not statement.level and (statement.module or "").partition(".")[0] in _ANNOTATION_MODULES
    if isinstance(statement, ast.If):
        return _is_constant_expression(statement.test) and all(map(_is_constant, [*statement.body, *statement.orelse]))
    if isinstance(statement, ast.Try):
        handled = [inner for handler in statement.handlers for inner in handler.body]
        return all(map(_is_constant, [*statement.body, *handled, *statement.orelse, *statement.finalbody]))
    return _is_constant_expression(statement)


def _is_constant_expression(node: ast.AST) -> bool:
    """Return whether this is an expression of constants and names, with at most methods of strings."""
    return not any(
        isinstance(inner, _CODE_EXPRESSIONS) or (isinstance(inner, ast.Call) and not _is_text_method(inner))
        for inner in ast.walk(node)
    )


def _is_text_method(call: ast.Call) -> bool:
    return isinstance(call.func, ast.Attribute) and call.func.attr in _TEXT_METHODS
