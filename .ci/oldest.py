"""Print the oldest versions of what perfguard needs, as a requirements file: the lower bounds in pyproject.toml."""

import re
import sys
from pathlib import Path

#: Newer Pythons than these have no wheels of the oldest version.
LIMITS = {"scipy": '; python_version < "3.12"'}

text = (Path(__file__).parent.parent / "pyproject.toml").read_text(encoding="utf-8")
needed = re.search(r"^dependencies = \[(.*?)^\]", text, re.MULTILINE | re.DOTALL)[1]
for name, version in re.findall(r'^ *"([\w-]+)>=([\w.]+)"', needed, re.MULTILINE):
    sys.stdout.write(f"{name}=={version}{LIMITS.get(name, '')}\n")
