"""Import the modules of an idle run as Python does, without pytest's rewriting of assert statements.

pytest rewrites all modules of a plugin's distribution. Ours contain no assert statement, and its import hook takes as long as
the modules themselves; where it may write no cache (PYTHONDONTWRITEBYTECODE), it compiles them in every run.
"""

from __future__ import annotations

import contextlib
import sys
from collections.abc import Iterator


@contextlib.contextmanager
def plain_imports() -> Iterator[None]:
    """Within the block, import without pytest's import hook."""
    finders = list(sys.meta_path)
    sys.meta_path[:] = [finder for finder in finders if not type(finder).__module__.startswith("_pytest.")]
    try:
        yield
    finally:
        sys.meta_path[:] = finders
