"""Hash of a test's source: a benchmark whose source has changed is not comparable with its record."""

from __future__ import annotations

import ast
import hashlib
import inspect
import textwrap
from collections.abc import Callable


def source_hash(function: Callable[..., object]) -> str:
    """Return a hash of the function's syntax tree; "" if its source is not available.

    Comments, blank lines, the docstring and the decorators do not count: a changed threshold in the marker does not
    make another benchmark. Values of parameters are part of the node id.
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
