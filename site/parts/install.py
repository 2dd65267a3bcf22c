"""The line that installs what a run was made with, and what such a line cannot bring."""

from __future__ import annotations

import re
from collections.abc import Iterator, Mapping, Sequence
from typing import Any, NamedTuple

from palimpsest.harness.system.environment import DISTRIBUTION
from palimpsest.results.records import Segment

_RELEASE = re.compile(r"[A-Za-z0-9]([A-Za-z0-9._-]{0,98}[A-Za-z0-9])?==[0-9][A-Za-z0-9._-]{0,60}")
"""A name and a version that mean a release to pip and nothing to a shell; local versions (``+cpu``) are on no index."""


class Install(NamedTuple):
    """A line to copy and what to know about it."""

    line: str
    """Empty where the version of Palimpsest was not recorded."""
    notes: tuple[str, ...]


def install(spec: Mapping[str, Any], segments: Sequence[Segment]) -> Install:
    """Command that brings the packages that a run was started with.

    Args:
        spec: The run's specification, foreign text like all of it.
        segments: Its environments; the first is what it was started in.
    """
    first = segments[0] if segments else None
    own = f"{DISTRIBUTION}=={first.palimpsest_version}" if first and first.palimpsest_version else ""
    releases = dict.fromkeys([own, *_editors(spec)] if own else ())
    safe = [name for name in releases if _RELEASE.fullmatch(name)]
    if own not in safe:
        return Install("", (f"Its version of {DISTRIBUTION} is no release.",) if own else ())
    return Install(f"pip install {' '.join(safe)}", tuple(_notes(spec, segments, safe)))


def _editors(spec: Mapping[str, Any]) -> Iterator[str]:
    """Releases of the editor's packages other than our own; a composition has one of each part."""
    editor = spec.get("editor", {})
    names, versions = (str(editor.get(key, "")).split(" + ") for key in ("distribution", "version"))
    for name, version in zip(names, versions, strict=False):
        if name != DISTRIBUTION:
            yield f"{name}=={version}"


def _notes(spec: Mapping[str, Any], segments: Sequence[Segment], safe: Sequence[str]) -> Iterator[str]:
    first = segments[0]
    if first.commit:
        changes = " with uncommitted changes, which no release has" if first.dirty else ""
        yield f"It was started from a source tree at commit {first.commit[:12]}{changes}."
    others = {one.palimpsest_version for one in segments if one.palimpsest_version} - {first.palimpsest_version}
    if others:
        yield f"It was resumed with {DISTRIBUTION} {', '.join(sorted(others))}."
    foreign = set(_editors(spec))
    if foreign & set(safe):
        yield "The editor is a third party’s code: look at it before you install it."
    if foreign - set(safe):
        yield "Its editor is no release that pip knows, and has to be installed by hand."
