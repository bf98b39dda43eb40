"""A revision checked out in a folder of its own, gone afterwards whatever happens.

The folder lies inside the repository's git folder, on the same disk as the tree it is compared with. A lock that dies with
its process says who is alive, so that the next run finds and clears what a killed one left.
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


@contextlib.contextmanager
def check_out(revision: Revision) -> Iterator[Path]:
    """The folder that holds the revision, its submodules included, inside the `with` block.

    Raises
    ------
    RevisionError
        where git cannot check it out: no space, no permission, a submodule's commit that is not here.
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
        with contextlib.suppress(OSError):  # what cannot be removed now, the next run tries to clear
            _remove(revision.top, tree)
            tree.with_suffix(".lock").unlink(missing_ok=True)
        lock.release()
        with contextlib.suppress(OSError):
            clear_leftovers(revision.top)  # once more: the children of a killed run may have outlived it by a moment


def worktrees_folder(top: Path) -> Path:
    """Where the worktrees of the repository around `top` are put."""
    return (top / git(top, "rev-parse", "--git-common-dir")).resolve() / WORKTREES_FOLDER


def extra_folder(tree: Path) -> Path:
    """A folder for what else the base needs, removed with its tree."""
    folder = tree.with_suffix(".extra")
    folder.mkdir(exist_ok=True)
    return folder


def clear_leftovers(top: Path) -> int:
    """Remove what runs left that were killed; returns how many there were.

    Whatever lies there without a lock that is held is nobody's: a run takes its lock before it makes anything.
    """
    from filelock import FileLock, Timeout

    cleared = 0
    home = worktrees_folder(top)
    for name in {path.name.partition(".")[0] for path in home.glob("*")}:
        lock = FileLock(home / f"{name}.lock")
        try:
            lock.acquire(blocking=False)
        except (Timeout, OSError):  # its run is alive, or somebody else's
            continue
        try:
            _remove(top, home / name)
            (home / f"{name}.lock").unlink(missing_ok=True)
            cleared += 1
        except OSError:  # another user's, say: it stays
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
            continue  # the head does without it, too
        (tree / path).rmdir()
        _add(top / path, tree / path, recorded)


def _remove(top: Path, tree: Path) -> None:
    for inner in sorted(tree.rglob(".git"), key=lambda path: -len(path.parts)) if tree.exists() else ():
        owner = top / inner.parent.relative_to(tree)
        if inner.is_file() and owner.is_dir():
            git_or_empty(owner, "worktree", "remove", "--force", "--force", str(inner.parent))
    shutil.rmtree(tree, ignore_errors=True)
    shutil.rmtree(tree.with_suffix(".extra"), ignore_errors=True)
    git_or_empty(top, "worktree", "remove", "--force", "--force", str(tree))
