"""Read the project's pages: their fenced blocks, and the commands in these."""

from __future__ import annotations

import re
import shlex
from pathlib import Path

ROOT = Path(__file__).parents[2]
PAGES = {path.name: path.read_text(encoding="utf-8") for path in sorted((ROOT / "docs").glob("*.md"))}
PAGES["README.md"] = (ROOT / "README.md").read_text(encoding="utf-8")


def blocks(text, language):
    """Return the content of the fenced blocks of a language."""
    return re.findall(rf"^```{language}\n(.*?)^```", text, re.DOTALL | re.MULTILINE)


def commands(script, program):
    """Return the arguments of each call of a program in a shell script, one call a line; variables become `main`.

    Calls for help are left out.
    """
    script = re.sub(r"\$\{\{.*?\}\}|\$\w+", "main", script)
    lines = [shlex.split(line, comments=True) for line in script.splitlines() if line.startswith(f"{program} ")]
    return [words[1:] for words in lines if "--help" not in words]
