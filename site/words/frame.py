"""The frame of every page: its security policy, its navigation, the functions that templates may call."""

from __future__ import annotations

from pathlib import Path

import jinja2

from palimpsest.harness.specs.run_spec import PROTOCOL
from palimpsest.site.words import labels, text

POLICY = (
    "default-src 'none'; script-src 'self'; style-src 'self'; img-src 'self' data: blob:; base-uri 'none'; "
    "form-action 'none'"
)
"""Content-Security-Policy of every page. ``frame-ancestors`` has no effect in a meta element and is left out."""
NAVIGATION = (
    ("board", "index.html", "Leaderboard"),
    ("editors", "editors.html", "Editors"),
    ("compare", "compare.html", "Compare"),
    ("claims", "claims.html", "Claims"),
    ("downloads", "downloads.html", "Data"),
    ("history", "history.html", "History"),
    ("nights", "nights.html", "Nights"),
    ("reading", "reading.html", "How to read it"),
)
"""(page, file, title) of the links at the top; "claims" only where there are some."""

_TEMPLATES = Path(__file__).resolve().parent.parent / "templates"


def environment(version: str, *, claims: bool = False, external: bool = False) -> jinja2.Environment:
    """Templates with escaping always on, foreign text cleaned, and an error for every name that does not exist.

    Args:
        version: Of Palimpsest.
        claims: Whether there is a page of claims.
        external: Whether there is one of models that were edited elsewhere.
    """
    env = jinja2.Environment(
        loader=jinja2.FileSystemLoader(_TEMPLATES),
        autoescape=True,
        undefined=jinja2.StrictUndefined,
        finalize=text.finalize,
        trim_blocks=True,
        lstrip_blocks=True,
        keep_trailing_newline=True,
    )
    env.filters["short"] = text.clean
    env.filters["file_name"] = text.file_name
    env.globals.update(
        csp=POLICY,
        navigation=[entry for entry in NAVIGATION if claims or entry[0] != "claims"],
        version=version,
        external=external,
        count=text.count,
        fixed=text.fixed,
        seconds=text.seconds,
        minute=text.minute,
        missing=text.MISSING,
        protocol=PROTOCOL,
        paper_url=labels.paper_url,
        form_names=labels.FORMS,
        form_help=labels.FORM_HELP,
        component_names=labels.METRICS,
        verdict_shapes=labels.VERDICT_SHAPES,
        verdict_words=labels.VERDICT_WORDS,
    )
    return env
