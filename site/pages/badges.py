"""A badge for a project's own page: an editor and its effective edits, as a small SVG without font or script."""

from __future__ import annotations

from markupsafe import escape

from palimpsest.site.words.text import clean, count

_CHARACTER = 6.4
"""Width of a character of the badge's text, on average."""
_LONGEST = 40


def badge(title: str, effective: str, planned: int) -> bytes:
    """One badge: whose run it is on the left, effective edits on the right."""
    left = clean(title, _LONGEST)
    right = f"{effective} effective of {count(planned)} edits"
    first, second = (round(_CHARACTER * len(text) + 18) for text in (left, right))
    whole, words = first + second, escape(f"{left}: {right}")
    return (
        f'<svg xmlns="http://www.w3.org/2000/svg" width="{whole}" height="22" role="img" aria-label="{words}">'
        f"<title>{words}</title>"
        f'<rect width="{whole}" height="22" rx="3" fill="#8f3322"/>'
        f'<path d="M3 0h{first - 3}v22H3a3 3 0 0 1-3-3V3a3 3 0 0 1 3-3z" fill="#3b342b"/>'
        '<g fill="#fff" font-family="Verdana,DejaVu Sans,sans-serif" font-size="11" text-anchor="middle">'
        f'<text x="{first / 2}" y="15" textLength="{first - 16}">{escape(left)}</text>'
        f'<text x="{first + second / 2}" y="15" textLength="{second - 16}">{escape(right)}</text></g></svg>\n'
    ).encode("utf-8", "replace")
