"""Web addresses of the repository, its commits and files, and of the CI run: where a report leads to.

Only addresses that begin with `http://` or `https://` become links, and without the credentials that a remote may contain.
"""

from __future__ import annotations

import re
from collections.abc import Mapping
from pathlib import Path
from typing import Final, NamedTuple
from urllib.parse import quote

from pytest_perfguard.core.git import git_or_empty


class Origin(NamedTuple):
    """The project and the run that a report comes from. Empty: not known."""

    project: str = ""
    web: str = ""
    """Web address of the repository, without a slash at its end."""
    run: str = ""
    """Web address of the CI run."""
    folder: str = ""
    """Path of the rootdir in the repository; empty for its top."""


UNKNOWN: Final = Origin()
#: `git@host:owner/name.git`, and addresses with a scheme; the part before `@` may be a password.
_SHORT: Final = re.compile(r"^(?:[^/@]+@)?([\w.-]+):(?!//)/?(.+)$")
_LONG: Final = re.compile(r"^(?:https?|ssh|git)://(?:[^/@]*@)?([\w.-]+)(?::\d+)?/(.+)$")
#: Part of the host's name -> the paths of a commit and of a line of a file.
_FORMS: Final[Mapping[str, tuple[str, str]]] = {
    "github": ("commit/{commit}", "blob/{commit}/{path}#L{line}"),
    "gitlab": ("-/commit/{commit}", "-/blob/{commit}/{path}#L{line}"),
    "bitbucket": ("commits/{commit}", "src/{commit}/{path}#lines-{line}"),
    "codeberg": ("commit/{commit}", "src/commit/{commit}/{path}#L{line}"),
    "gitea": ("commit/{commit}", "src/commit/{commit}/{path}#L{line}"),
}


def find_origin(folder: Path, environment: Mapping[str, str]) -> Origin:
    """Return the origin of a run in this folder, from the remote `origin` of git and from the variables of the CI service."""
    web = web_address(git_or_empty(folder, "remote", "get-url", "origin"))
    below = git_or_empty(folder, "rev-parse", "--show-prefix").rstrip("/")
    return Origin(web.rpartition("/")[2] or folder.resolve().name, web, ci_run(environment), below)


def web_address(remote: str) -> str:
    """Return the web address of the repository that a git remote names; empty for a folder."""
    found = _LONG.match(remote) or _SHORT.match(remote)
    return f"https://{found[1]}/{found[2].rstrip('/').removesuffix('.git')}" if found else ""


def ci_run(environment: Mapping[str, str]) -> str:
    """Return the web address of this run on GitHub or GitLab, or an empty string."""
    github = [environment.get(name, "") for name in ("GITHUB_SERVER_URL", "GITHUB_REPOSITORY", "GITHUB_RUN_ID")]
    if all(github):
        return "{}/{}/actions/runs/{}".format(*github)
    return environment.get("CI_JOB_URL", "")


def commit_address(web: str, commit: str) -> str:
    """Return the web address of a commit; empty where the host or the commit is not known."""
    form, name = _form_of(web), commit.rstrip("+")
    return f"{web}/{form[0].format(commit=name)}" if form and re.fullmatch(r"[0-9a-f]{7,64}", name) else ""


def line_address(origin: Origin, commit: str, path: str, line: int) -> str:
    """Return the web address of a line at a commit; empty where it is not known, as in a file that was changed since."""
    form = _form_of(origin.web)
    if not form or not re.fullmatch(r"[0-9a-f]{7,64}", commit) or not path or line < 1:
        return ""
    whole = f"{origin.folder}/{path}" if origin.folder else path
    return f"{origin.web}/{form[1].format(commit=commit, path=quote(whole), line=line)}"


def is_web_address(text: str) -> bool:
    """Return whether the text may become a link."""
    return text.startswith(("https://", "http://"))


def _form_of(web: str) -> tuple[str, str] | None:
    host = web.partition("://")[2].partition("/")[0]
    return next((form for name, form in _FORMS.items() if name in host), None) if is_web_address(web) else None
