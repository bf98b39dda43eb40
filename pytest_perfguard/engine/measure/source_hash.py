"""A hash of a test's own source: a changed benchmark is another benchmark."""

from __future__ import annotations

import ast
import hashlib
import inspect
import textwrap
from collections.abc import Callable


def source_hash(function: Callable[..., object]) -> str:
    """Hash of the function's code as a syntax tree; "" where there is no source.

    Comments, blank lines, the docstring and the decorators do not count: another threshold in the marker is not
    another benchmark. A parameter's value is part of the node id.
    """
    try:
        source = textwrap.dedent(inspect.getsource(inspect.unwrap(function)))
        tree = ast.parse(source)
    except (
        OSError,
        TypeError,
        ValueError,
        SyntaxError,
    ):  # no source, not a function, a lambda inside an expression, a loop of wrappers
        return ""
    for node in ast.walk(tree):
        if isinstance(node, ast.FunctionDef | ast.AsyncFunctionDef):
            node.decorator_list = []
            if ast.get_docstring(node, clean=False) is not None:
                node.body = node.body[1:] or [ast.Pass()]
    return hashlib.sha256(ast.dump(tree).encode()).hexdigest()[:12]
