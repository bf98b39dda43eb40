"""Print the lower bounds of the dependencies in pyproject.toml as a requirements file of exact versions."""

import re
import sys
from pathlib import Path

#: Markers for dependencies whose oldest version has no wheels for newer versions of Python.
LIMITS = {"scipy": '; python_version < "3.12"'}

text = (Path(__file__).parent.parent / "pyproject.toml").read_text(encoding="utf-8")
needed = re.search(r"^dependencies = \[(.*?)^\]", text, re.MULTILINE | re.DOTALL)[1]
for name, version in re.findall(r'^ *"([\w-]+)>=([\w.]+)"', needed, re.MULTILINE):
    sys.stdout.write(f"{name}=={version}{LIMITS.get(name, '')}\n")
