"""Map code objects and C functions to `Function`: the owner of the code, and its name in both trees."""

from __future__ import annotations

import ast
import linecache
import os
import re
from pathlib import Path
from types import CodeType
from typing import Final, NamedTuple

from pytest_perfguard.core.originals import sys
from pytest_perfguard.engine.profile.model import Function

#: Folders of this package whose frames lie between the instruments and the measured call.
_MACHINERY: Final = tuple(
    os.fspath(Path(__file__).parents[2] / folder) + os.sep
    for folder in ("engine/measure", "engine/profile", "engine/runner", "plugin", "compat")
)
_INSTALLED: Final = {"site-packages", "dist-packages", ".git"}
_BUILT_IN: Final = re.compile(r"<built-in method (?:(?P<module>.+)\.)?(?P<name>[^.]+)>")
_METHOD: Final = re.compile(r"<method '(?P<name>.+)' of '(?P<type>.+)' objects>")
#: Functions that are part of the one around them: comprehensions, generator expressions, lambdas.
_FOLDED: Final = re.compile(r"(?:\.<locals>)?\.<(?:listcomp|setcomp|dictcomp|genexpr|lambda)>.*")
#: Flags of code whose calls are resumptions: generators, coroutines, asynchronous generators.
_RESUMED: Final = 0x20 | 0x80 | 0x200


class Named(NamedTuple):
    """A code object's function, and whether the code is a part of it that is not called by itself."""

    function: Function
    line: int
    end: int
    folded: bool
    resumed: bool


class Namer:
    """Names functions for one profile. `root` is the project's folder."""

    def __init__(self, root: str) -> None:
        self._root = os.path.join(os.path.realpath(root), "")  # noqa: PTH118 - a prefix of texts
        self._written = os.path.join(root, "")  # noqa: PTH118
        self._modules = {
            file: name
            for name, module in list(sys.modules.items())
            if isinstance(file := getattr(module, "__file__", None), str) and name != "__main__"
        }
        self._known: dict[CodeType, Named | None] = {}
        self._files: dict[str, str] = {}

    def of_code(self, code: CodeType) -> Named | None:
        """Return the function of a code object; None for our own machinery."""
        if code not in self._known:
            self._known[code] = self._name(code)
        return self._known[code]

    def of_builtin(self, text: str) -> Function:
        """Return the function that cProfile describes by this text."""
        if match := _METHOD.fullmatch(text):
            return Function(match["type"], match["name"], ours=False)
        if match := _BUILT_IN.fullmatch(text):
            return Function(match["module"] or "", match["name"], ours=False)
        return Function("", text.strip("<>"), ours=False)

    def project_file(self, file: str) -> str:
        """Return the file's path relative to the project; "" where it is not the project's."""
        if file not in self._files:
            self._files[file] = self._relative(file)
        return self._files[file]

    def _relative(self, file: str) -> str:
        if file.startswith((*_MACHINERY, "<")):  # `<string>`, `<frozen importlib._bootstrap>`
            return ""
        for root, path in ((self._written, file), (self._root, os.path.realpath(file))):
            if path.startswith(root):
                parts = Path(path[len(root) :]).parts
                inside = not _INSTALLED.intersection(parts) and not path.startswith(_environment())
                return "/".join(parts) if inside else ""
        return ""

    def _name(self, code: CodeType) -> Named | None:
        file = code.co_filename
        if file.startswith(_MACHINERY):
            return None
        full = _qualified(code)
        name = _FOLDED.sub("", full)
        ours = self.project_file(file)
        place = ours or self._modules.get(file, "") or Path(file).stem.strip("<>")
        function = Function(place, name.replace("<locals>.", ""), bool(ours))
        lines = [line for _start, _end, line in code.co_lines() if line]
        return Named(
            function, code.co_firstlineno, max(lines, default=code.co_firstlineno), name != full,
            bool(code.co_flags & _RESUMED),
        )  # fmt: skip


def _environment() -> tuple[str, ...]:
    """Return the folders of the interpreter and of its virtual environment, where they are no part of the project."""
    return tuple(os.path.join(prefix, "lib", "") for prefix in {sys.prefix, sys.base_prefix})  # noqa: PTH118


def _qualified(code: CodeType) -> str:
    name = getattr(code, "co_qualname", None)  # new in Python 3.11
    return name if isinstance(name, str) else _by_source(code)


def _by_source(code: CodeType) -> str:
    """Find the qualified name in the source, by line."""
    file = code.co_filename
    if file not in _SOURCES:
        _SOURCES[file] = dict(_definitions("".join(linecache.getlines(file))))
    return _SOURCES[file].get((code.co_firstlineno, code.co_name), code.co_name)


_SOURCES: Final[dict[str, dict[tuple[int, str], str]]] = {}
_EXPRESSIONS: Final = {
    ast.Lambda: "<lambda>", ast.ListComp: "<listcomp>", ast.SetComp: "<setcomp>", ast.DictComp: "<dictcomp>",
    ast.GeneratorExp: "<genexpr>",
}  # fmt: skip


def _definitions(source: str) -> list[tuple[tuple[int, str], str]]:
    try:
        tree = ast.parse(source)
    except (SyntaxError, ValueError):
        return []
    found: list[tuple[tuple[int, str], str]] = []

    def visit(node: ast.AST, prefix: str) -> None:
        for child in ast.iter_child_nodes(node):
            inner = prefix
            if isinstance(child, ast.FunctionDef | ast.AsyncFunctionDef):
                line = child.decorator_list[0].lineno if child.decorator_list else child.lineno
                found.append(((line, child.name), f"{prefix}{child.name}"))
                inner = f"{prefix}{child.name}.<locals>."
            elif isinstance(child, ast.ClassDef):
                inner = f"{prefix}{child.name}."
            elif (name := _EXPRESSIONS.get(type(child))) is not None:
                found.append(((child.lineno, name), f"{prefix}{name}"))  # type: ignore[attr-defined]
                inner = f"{prefix}{name}.<locals>."
            visit(child, inner)

    visit(tree, "")
    return found
