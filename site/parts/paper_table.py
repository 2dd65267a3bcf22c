"""The board of a track as a table for a paper: LaTeX with booktabs, Markdown, or CSV.

Bold is the best group: the first row with a rank, and every row that the pairs of the track do not tell apart from it.
"""

from __future__ import annotations

from collections.abc import Iterable, Sequence
from dataclasses import dataclass
from typing import Any

from palimpsest.results.records import Interval, Track
from palimpsest.site.parts import figures, payload
from palimpsest.site.parts.figures import Figure
from palimpsest.site.parts.files import table_files
from palimpsest.site.parts.table import ABILITIES_KEPT, TableRow
from palimpsest.site.words import columns as columns_of
from palimpsest.site.words import labels, papers
from palimpsest.site.words.text import NARROW, count, older_protocol

_NOTHING = Interval(None)
_LATEX = {
    **{character: f"\\{character}" for character in "{}$&#_%"},
    "\\": r"\textbackslash{}",
    "~": r"\textasciitilde{}",
    "^": r"\textasciicircum{}",
    "<": r"\textless{}",
    ">": r"\textgreater{}",
    "|": r"\textbar{}",
    '"': "''",
    "`": r"\textasciigrave{}",
    "–": "--",
    "−": "$-$",
    "≥": r"$\geq$",
    "×": r"$\times$",
    NARROW: r"\,",
}
_MARKDOWN = frozenset(r"\`*_{}[]<>()#+!|~$&")


@dataclass(frozen=True, slots=True)
class PaperTable:
    """Content of a table, before it is written in a form."""

    track: Track
    at: int
    """Number of edits that the scores are about; effective edits are about all."""
    rows: tuple[TableRow, ...]
    """Rows that ended by themselves, best first."""
    left_out: tuple[str, ...]
    """Names of the others."""
    best: frozenset[str]
    """Ids of the rows in the best group."""

    @property
    def metrics(self) -> tuple[str, ...]:
        """Metrics of its columns: those of the form that the headline goes by, and abilities kept."""
        form = labels.form_of(self.track.main_metric)
        return (*(f"{part}_{form}" for part in labels.COMPONENTS), ABILITIES_KEPT)

    @property
    def heads(self) -> tuple[str, ...]:
        """Titles of its columns."""
        form = labels.form_of(self.track.main_metric)
        titles = (labels.METRICS[name.removesuffix(f"_{form}")] for name in self.metrics)
        return ("Rank", "Editor", "Courses", "Effective edits", *titles)

    @property
    def papers(self) -> list[papers.Paper]:
        """Papers of all editors in it."""
        return [paper for row in self.rows for paper in papers_of(row)]

    @property
    def run_ids(self) -> list[str]:
        """Runs that its numbers are about."""
        return [run.run_id for row in self.rows for run in row.counted]

    def caption(self) -> list[str]:
        """Sentences that say what the numbers are, and of which track and runs."""
        track = self.track
        form = labels.FORMS[labels.form_of(track.main_metric)]
        parts = [
            f"{track.model} on {track.task}, {payload.planned_edits(track)}, {track.edit_order}, protocol "
            f"{track.protocol}{older_protocol(track.protocol)}.",
            f"Scores ({form}) and abilities kept after {count(self.at)} edits, in percent.",
            "With each value its 95 % interval.",
        ]
        if self.best:
            parts.append("Bold: not told apart from the first row.")
        else:
            parts.append("No row has a rank: that needs three courses, each in an order of its own.")
        if self.left_out:
            parts.append(f"Without {', '.join(self.left_out)}: no run of it ended by itself.")
        return [*parts, f"Palimpsest track {track.track_id}; runs {', '.join(self.run_ids)}."]

    def figures(self, row: TableRow) -> list[Figure]:
        """Cells of a row behind its editor's name."""
        courses = row.standing.courses if row.standing else 0
        scores = [row.metrics.get(name, {}).get(self.at, _NOTHING) for name in self.metrics]
        return [
            Figure(str(courses)),
            figures.effective_figure(row.effective_edits),
            *(figures.interval_figure(one) for one in scores),
        ]


def paper_table(track: Track, rows: Sequence[TableRow], at: int | None = None) -> PaperTable:
    """The table of a track.

    Args:
        track: The track, with its pairs.
        rows: Its rows, best first.
        at: Checkpoint that scores are taken from; None: the last.
    """
    ended = tuple(row for row in rows if row.standing is not None)
    left_out = tuple(row.label for row in rows if row.standing is None)
    return PaperTable(track, at or track.checkpoints[-1], ended, left_out, best_group(track, ended))


def best_group(track: Track, rows: Sequence[TableRow]) -> frozenset[str]:
    """Ids of the first row with a rank and of all that are not told apart from it; empty where no row has a rank."""
    ranked = [row.id for row in rows if row.standing is not None and row.standing.rank_low is not None]
    if not ranked:
        return frozenset()
    apart = {
        one for pair in track.pairs if pair.told_apart for one in (pair.above, pair.below) if ranked[0] in pair[:2]
    }
    return frozenset(id for id in ranked if id == ranked[0] or id not in apart)


def papers_of(row: TableRow) -> list[papers.Paper]:
    """Papers of a row's editor, of each part of a composition; none of a third party's."""
    parts = labels.editor_parts(row.first.editor) if row.built_in else ()
    return [paper for part in parts for paper in papers.PAPERS.get(part, ())]


def latex(text: str) -> str:
    """A text as LaTeX shows it, whatever is in it."""
    return "".join(_LATEX.get(character, character) for character in text.replace("\n", " "))


def markdown(text: str) -> str:
    """A text as Markdown shows it, in one cell of a table."""
    return "".join(f"\\{one}" if one in _MARKDOWN else one for one in text.replace("\n", " "))


def as_latex(table: PaperTable) -> str:
    """The table as LaTeX; it needs booktabs, graphicx and textcomp, and BibTeX entries of its keys.

    Where it is wider than the text it is made smaller, as a whole.
    """
    lines = []
    for row in table.rows:
        bold = row.id in table.best
        name = _bold(latex(row.label)) if bold else latex(row.label)
        keys = ",".join(dict.fromkeys(paper.key for paper in papers_of(row)))
        cells = [_latex_cell(one, bold=bold and place == 1) for place, one in enumerate(table.figures(row))]
        rank = latex(figures.rank_figure(row.standing).text)
        lines.append(
            "    " + " & ".join([rank, f"{name}~\\cite{{{keys}}}" if keys else name, *cells]) + r" \\\addlinespace"
        )
    heads = " & ".join(map(latex, table.heads))
    head, *rest = (latex(part) for part in table.caption())
    return "\n".join(
        [
            "% \\usepackage{booktabs,graphicx,textcomp}",
            r"\begin{table*}",
            r"  \centering\small",
            f"  \\caption{{{' '.join([head, *rest[:-1], _own(rest[-1])])}}}",
            f"  \\label{{tab:palimpsest-{table.track.track_id}}}",
            r"  \setlength{\tabcolsep}{4pt}",
            r"  \resizebox{\ifdim\width>\linewidth\linewidth\else\width\fi}{!}{%",
            f"  \\begin{{tabular}}{{rl{'r' * (len(table.heads) - 2)}}}",
            r"    \toprule",
            f"    {heads} \\\\",
            r"    \midrule",
            *lines,
            r"    \bottomrule",
            r"  \end{tabular}}",
            r"\end{table*}",
        ]
    )


def _own(sentence: str) -> str:
    return sentence.replace("Palimpsest", f"Palimpsest~\\cite{{{papers.OWN}}}", 1)


def _bold(text: str) -> str:
    return rf"\textbf{{{text}}}"


def _latex_cell(figure: Figure, *, bold: bool) -> str:
    value = _bold(latex(figure.text)) if bold else latex(figure.text)
    below = f"{value}\\\\[-2pt]{{\\scriptsize {latex(figure.span)}}}"
    return f"\\begin{{tabular}}[t]{{@{{}}r@{{}}}}{below}\\end{{tabular}}" if figure.span else value


def as_markdown(table: PaperTable) -> str:
    """The table as Markdown, its caption below it."""
    lines = [_line(table.heads), _line(["---:", "---", *["---:"] * (len(table.heads) - 2)])]
    for row in table.rows:
        bold = "**" if row.id in table.best else ""
        cells = [_markdown_cell(one, bold if place == 1 else "") for place, one in enumerate(table.figures(row))]
        rank = figures.rank_figure(row.standing).text
        lines.append(_line([rank, f"{bold}{markdown(row.label)}{bold}", *cells]))
    return "\n".join([*lines, "", markdown(" ".join(table.caption()))])


def _markdown_cell(figure: Figure, bold: str) -> str:
    value = f"{bold}{figure.text}{bold}"
    return f"{value} ({figure.span})" if figure.span else value


def _line(cells: Iterable[str]) -> str:
    return f"| {' | '.join(cells)} |"


def as_csv(table: PaperTable) -> str:
    """The table as CSV with numbers in full, track and runs in every line."""
    return next(table_files("table", csv_columns(table))).data.decode().rstrip("\n")


def csv_columns(table: PaperTable) -> dict[str, list[Any]]:
    """Columns of the table as CSV."""
    rows = table.rows
    standings = [row.standing for row in rows]
    columns: dict[str, list[Any]] = columns_of.of_track(table.track, len(rows)) | {
        "edits": [table.at] * len(rows),
        "rank_low": [one.rank_low if one else None for one in standings],
        "rank_high": [one.rank_high if one else None for one in standings],
        "best_group": [row.id in table.best for row in rows],
        "editor": [row.first.editor for row in rows],
        "distribution": [row.first.distribution for row in rows],
        "version": [row.first.version for row in rows],
        "courses": [one.courses if one else 0 for one in standings],
        "seconds_per_edit": [row.seconds for row in rows],
        "verified": [columns_of.verified(row.runs) for row in rows],
        "date": [row.date or "" for row in rows],
        "runs": [" ".join(run.run_id for run in row.counted) for row in rows],
    }
    intervals = {"effective_edits": [row.effective_edits for row in rows]}
    intervals |= {name: [row.metrics.get(name, {}).get(table.at, _NOTHING) for row in rows] for name in table.metrics}
    for name, found in intervals.items():
        columns[name] = [one.value for one in found]
        columns[f"{name}_low"] = [one.low for one in found]
        columns[f"{name}_high"] = [one.high for one in found]
    return columns


WRITERS = {"latex": as_latex, "markdown": as_markdown, "csv": as_csv}
"""Form → its writer."""
