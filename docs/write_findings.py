"""Put what `palimpsest claims --markdown` prints between the markers of docs/findings.md; nothing else changes there.

    palimpsest claims --markdown | python docs/write_findings.py [FILE]

Without FILE that is docs/findings.md itself.
"""

from __future__ import annotations

import sys
from collections.abc import Sequence
from pathlib import Path

from palimpsest.harness.system.atomic_files import atomic_write_text

FINDINGS = Path(__file__).resolve().parent / "findings.md"
BEGIN = "<!-- printed by: palimpsest claims --markdown -->"
END = "<!-- end of what was printed -->"


def parts(text: str) -> tuple[str, str, str]:
    """The text up to the part that is printed, that part, and the rest; the markers belong to the outer ones.

    Raises:
        ValueError: One of the markers does not stand there exactly once, or they stand in the other order.
    """
    if text.count(BEGIN) != 1 or text.count(END) != 1 or text.index(BEGIN) > text.index(END):
        raise ValueError(f"expected the lines {BEGIN} and {END}, each once and in this order")
    before, rest = text.split(BEGIN)
    printed, after = rest.split(END)
    return f"{before}{BEGIN}\n", printed.strip("\n"), f"\n{END}{after}"


def main(arguments: Sequence[str], printed: str) -> int:
    """Write the file anew; 2, and the file is as before, if it cannot be.

    Args:
        arguments: The file, where it is another than docs/findings.md.
        printed: The Markdown.
    """
    path = Path(arguments[0]) if arguments else FINDINGS
    try:
        if "| verdict |" not in printed or BEGIN in printed or END in printed:
            raise ValueError("expected the tables of palimpsest claims --markdown on the standard input")
        before, _, after = parts(path.read_text(encoding="utf-8"))
    except (OSError, ValueError) as error:
        sys.stderr.write(f"{path}: {error}\n")
        return 2
    atomic_write_text(path, f"{before}\n{printed.strip()}\n{after}")
    return 0


if __name__ == "__main__":
    sys.exit(main(sys.argv[1:], sys.stdin.read()))
