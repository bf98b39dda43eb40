"""Sphinx configuration: the documentation site, built from the Markdown pages beside this file.

sphinx-build -W --keep-going -b html docs build/site
"""

from __future__ import annotations

import re
from pathlib import Path

_PROJECT = (Path(__file__).parents[1] / "pyproject.toml").read_text(encoding="utf-8")

project = "perfguard"
author = "The perfguard authors"
copyright = author  # noqa: A001  # Sphinx's name for it
release = version = re.findall(r'^version = "(.+)"$', _PROJECT, re.MULTILINE)[0]

extensions = ["myst_parser"]
#: Anchors of headings, as GitHub makes them: page.md#the-heading
myst_heading_anchors = 3

html_theme = "furo"
html_title = f"perfguard {release}"
# The sources are in the repository; copies would only double the site.
html_copy_source = False
html_show_sphinx = False
