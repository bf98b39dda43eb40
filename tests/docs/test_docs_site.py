"""The documentation site builds without a warning, every page can be reached, every command on it exists."""

from __future__ import annotations

import re
import subprocess
import sys

import pytest

from pytest_perfguard.cli import make_parser
from tests.docs.documents import PAGES, ROOT, blocks, commands


def test_every_page_is_in_the_table_of_contents():
    """The table lists no other page."""
    entries = [line for block in blocks(PAGES["index.md"], r"\{toctree\}") for line in block.split("\n")]
    listed = [line for line in entries if line and not line.startswith(":")]
    assert sorted(f"{name}.md" for name in listed) == sorted({*PAGES} - {"index.md", "README.md"})


def test_the_site_builds_without_a_warning(tmp_path):
    for name in ("sphinx", "myst_parser", "furo"):
        pytest.importorskip(name, reason=f"the site is built with {name}: pip install -e '.[docs]'")
    command = [sys.executable, "-m", "sphinx", "-W", "--keep-going", "-q", "-d", tmp_path / "trees", "-b", "html"]
    done = subprocess.run([*command, ROOT / "docs", tmp_path / "site"], capture_output=True, text=True, check=False)
    assert done.returncode == 0, done.stdout + done.stderr
    for name in {*PAGES} - {"README.md"}:
        assert (tmp_path / "site" / name).with_suffix(".html").exists()


@pytest.mark.parametrize("name", sorted(PAGES))
def test_every_link_to_a_file_leads_somewhere(name):
    """GitHub shows the same links, and no build checks them there."""
    folder = ROOT if name == "README.md" else ROOT / "docs"
    for target in re.findall(r"\]\(([^)#:\s]+)(?:#[^)]*)?\)", PAGES[name]):
        assert (folder / target).exists(), target


@pytest.mark.parametrize("name", sorted(PAGES))
def test_every_command_of_a_page_is_one_that_perfguard_takes(name):
    for script in blocks(PAGES[name], "sh"):
        for arguments in commands(script, "perfguard"):
            make_parser().parse_args(arguments)  # exits where it does not know them
