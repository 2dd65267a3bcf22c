"""Changes of a pull request: which bundles it brings, what else it touches, which releases its editors are."""

from __future__ import annotations

import os
import re
from collections.abc import Iterable, Iterator
from pathlib import Path, PurePosixPath

from palimpsest.harness.errors import ConfigError, UsageError
from palimpsest.harness.system import child
from palimpsest.harness.system.environment import DISTRIBUTION
from palimpsest.results.reading.cleaning import clean_text
from palimpsest.results.reading.problems import Problem
from palimpsest.results.submissions.bundle import MANIFEST, Manifest

_NAME = re.compile(r"[A-Za-z0-9]([A-Za-z0-9._-]*[A-Za-z0-9])?")
_VERSION = re.compile(r"[0-9][A-Za-z0-9.!+_-]*")
_REVISION = re.compile(r"[A-Za-z0-9_][A-Za-z0-9_./~^@{}-]*")
_NO_BUNDLE = "a submission adds bundles and changes nothing else"
_FILE_AMONG_BUNDLES = "is a file where only folders of bundles belong"


def changed_bundles(revision: str, submissions: Path, *, other_files: bool = False) -> tuple[list[Path], list[Problem]]:
    """The bundles that came or changed since ``revision``, and what a request may not change, as problems.

    Args:
        revision: Of the branch that the request is for.
        submissions: Folder of the bundles, from the top of the repository.
        other_files: Let files outside of bundles change, too, as on a branch of the maintainers.

    Raises:
        UsageError: This is no Git repository, or it does not know the revision.
    """
    folder = PurePosixPath(submissions)
    bundles, strange = set(), []
    for name in _changed_names(revision):
        path = PurePosixPath(name)
        if path.is_relative_to(folder) and len(path.parts) > len(folder.parts) + 1:
            bundles.add(submissions / path.parts[len(folder.parts)])
        elif not other_files:
            why = _FILE_AMONG_BUNDLES if path.is_relative_to(folder) else _NO_BUNDLE
            strange.append(Problem(clean_text(name, 300), why))
    gone = [bundle for bundle in bundles if not (bundle.is_dir() and any(bundle.iterdir()))]
    strange += [
        Problem(clean_text(str(bundle), 300), "is gone; a bundle is withdrawn, never deleted") for bundle in gone
    ]
    there_before = _bundles_before(revision, submissions)
    strange += [
        Problem(
            clean_text(str(bundle), 300),
            "was there before and is changed; a bundle is never overwritten. Withdraw the run, and let a maintainer "
            "remove what is to be replaced",
        )
        for bundle in bundles - set(gone)
        if bundle.name in there_before
    ]
    return sorted(bundles - set(gone)), sorted(strange)


def _changed_names(revision: str) -> list[str]:
    """Files that came, changed or went since the branch left ``revision``, relative to the repository."""
    return _git_names(revision, "diff", "--name-only", "--no-renames", "--no-ext-diff", "-z", f"{revision}...HEAD")


def _bundles_before(revision: str, submissions: Path) -> set[str]:
    """Names of the bundles that were in the folder of submissions when the branch left ``revision``."""
    (base,) = _git_names(revision, "merge-base", revision, "HEAD")
    listed = ("ls-tree", "-r", "-z", "--name-only", "--full-tree", base.strip(), "--", f"{submissions.as_posix()}/")
    depth = len(submissions.parts)
    return {PurePosixPath(name).parts[depth] for name in _git_names(revision, *listed)}


def _git_names(revision: str, *arguments: str) -> list[str]:
    """Texts that git gives back, separated by zeros.

    Raises:
        UsageError: There is no git, or it does not know the revision.
    """
    if not _REVISION.fullmatch(revision):
        raise UsageError(f"--since: {clean_text(revision, 100)!r} is no Git revision.")
    try:
        done = child.git(Path.cwd(), *arguments)
    except FileNotFoundError as error:
        raise UsageError("--since needs git, which was not found. Name the bundles instead.") from error
    if done.returncode:
        said = clean_text(done.stderr.decode(errors="replace").strip(), 300)
        raise UsageError(f"--since: git does not tell what changed since {revision}: {said}")
    return [os.fsdecode(name) for name in done.stdout.split(b"\0") if name]


def requirement_lines(bundles: Iterable[Path]) -> Iterator[str]:
    """A line for pip for each release of a third party's editors, e.g. ``my-editor==1.0``.

    Raises:
        ConfigError: A name or version is none that a package can have, and might mean something else to pip; or the
            package did not come from an index, where another package may have its name.
    """
    seen = set()
    for bundle in bundles:
        manifest = Manifest.model_validate_json((bundle / MANIFEST).read_bytes())
        for source in manifest.editors:
            if source.distribution == DISTRIBUTION or (source.distribution, source.version) in seen:
                continue
            seen.add((source.distribution, source.version))
            if not _NAME.fullmatch(source.distribution) or not _VERSION.fullmatch(source.version):
                named = clean_text(f"{source.distribution}=={source.version}", 200)
                raise ConfigError(f"{bundle / MANIFEST}, editors: {named!r} is no release of a package.")
            if source.origin != "index":
                raise ConfigError(
                    f"{bundle / MANIFEST}, editors: {source.name} was not installed from an index, so a package called "
                    f"{source.distribution} there may be somebody else's. Install the editor by hand, or ask for a run "
                    "with a published release."
                )
            yield f"{source.distribution}=={source.version}\n"
