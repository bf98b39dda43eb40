"""Check a revision out into a temporary git worktree, which is removed afterwards, also after an error.

The worktree is inside the repository's git folder, on the same disk as the tree it is compared with. Each run holds a
lock that the system releases when its process ends, so that the next run can find and remove what a killed run left
behind.
"""

from __future__ import annotations

import contextlib
import shutil
import uuid
from collections.abc import Iterator
from pathlib import Path
from typing import Final

from pytest_perfguard.core.errors import RevisionError
from pytest_perfguard.core.git import git, git_or_empty
from pytest_perfguard.core.system_errors import explain_error
from pytest_perfguard.engine.runner.revision import Revision

WORKTREES_FOLDER: Final = "perfguard"
#: Of the folder for other files of a tree.
EXTRA_SUFFIX: Final = ".extra"


@contextlib.contextmanager
def check_out(revision: Revision) -> Iterator[Path]:
    """Check the revision out, with its submodules; the folder exists inside the `with` block.

    Raises
    ------
    RevisionError
        if git cannot check it out: no space, no permission, or a submodule whose commit is missing.
    """
    from filelock import FileLock

    home = worktrees_folder(revision.top)
    tree = home / uuid.uuid4().hex[:12]
    lock = FileLock(tree.with_suffix(".lock"))
    try:
        home.mkdir(exist_ok=True)
        clear_leftovers(revision.top)
        lock.acquire()
    except OSError as error:
        raise RevisionError(f"cannot check out {revision.label} in {home}: {explain_error(error)}") from None
    try:
        try:
            _add(revision.top, tree, revision.commit)
        except OSError as error:
            raise RevisionError(f"cannot check out {revision.label} in {tree}: {explain_error(error)}") from None
        yield tree
    finally:
        with contextlib.suppress(OSError):  # the next run tries again
            _remove(revision.top, tree)
            tree.with_suffix(".lock").unlink(missing_ok=True)
        lock.release()
        with contextlib.suppress(OSError):
            clear_leftovers(revision.top)  # again, because child processes of a killed run may have outlived it briefly


def worktrees_folder(top: Path) -> Path:
    """Return the folder for worktrees of the repository around `top`."""
    return (top / git(top, "rev-parse", "--git-common-dir")).resolve() / WORKTREES_FOLDER


def extra_folder(tree: Path) -> Path:
    """Return a folder for other files of the base, which is removed with its tree."""
    folder = tree.with_suffix(EXTRA_SUFFIX)
    folder.mkdir(exist_ok=True)
    return folder


def clear_leftovers(top: Path) -> int:
    """Remove what killed runs left behind; return the number of removed worktrees.

    A worktree whose lock is free belongs to no run, because a run takes its lock before it creates anything.
    """
    from filelock import FileLock, Timeout

    cleared = 0
    home = worktrees_folder(top)
    for name in {path.name.partition(".")[0] for path in home.glob("*")}:
        lock = FileLock(home / f"{name}.lock")
        try:
            lock.acquire(blocking=False)
        except (Timeout, OSError):  # the run is alive, or belongs to another user
            continue
        try:
            _remove(top, home / name)
            (home / f"{name}.lock").unlink(missing_ok=True)
            cleared += 1
        except OSError:  # for example, it belongs to another user
            continue
        finally:
            lock.release()
    return cleared


def _add(top: Path, tree: Path, commit: str) -> None:
    git(top, "worktree", "add", "--detach", "--force", str(tree), commit)
    for line in git(top, "ls-tree", "-r", "-z", "--full-tree", commit).split("\0"):
        mode, _, rest = line.partition(" ")
        if mode != "160000":  # a submodule
            continue
        recorded, _, path = rest.partition(" ")[2].partition("\t")
        if not (top / path / ".git").exists():
            continue  # the head does not have it either
        (tree / path).rmdir()
        _add(top / path, tree / path, recorded)


def _remove(top: Path, tree: Path) -> None:
    for inner in sorted(tree.rglob(".git"), key=lambda path: -len(path.parts)) if tree.exists() else ():
        owner = top / inner.parent.relative_to(tree)
        if inner.is_file() and owner.is_dir():
            git_or_empty(owner, "worktree", "remove", "--force", "--force", str(inner.parent))
    shutil.rmtree(tree, ignore_errors=True)
    shutil.rmtree(tree.with_suffix(EXTRA_SUFFIX), ignore_errors=True)
    git_or_empty(top, "worktree", "remove", "--force", "--force", str(tree))
