"""The tables in the docs that hold behaviours of other packages against ours."""

from __future__ import annotations

import re
from pathlib import Path

import pytest

ROOT = Path(__file__).parent.parent.parent
DEFINED = {
    name
    for path in (ROOT / "tests" / "tools").rglob("test_*.py")
    for name in re.findall(r"def (test_\w+)", path.read_text())
}


@pytest.mark.parametrize("page", ["pools", "caching"])
def test_each_behaviour_that_is_the_same_names_a_test_that_exists(page):
    table = (
        (ROOT / "docs" / f"{page}.md")
        .read_text()
        .partition(" | here | test |\n|---|---|---|\n")[2]
        .partition("\n\n")[0]
    )
    rows = [[cell.strip() for cell in line.strip("|").split(" |")] for line in table.splitlines()]
    assert len(rows) > 10
    for _theirs, here, name in rows:
        assert name.strip("`") in DEFINED or (not name and here.startswith(("differs", "not here"))), here
