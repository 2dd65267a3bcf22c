"""`palimpsest show`: one run: what it is, how far it got, its latest scores, its journal."""

from __future__ import annotations

from typing import Annotated, Any

import typer

from palimpsest.cli import options, output
from palimpsest.cli.latest_scores import Held, LatestScores, latest_scores
from palimpsest.cli.run_folders import RunSummary, find_run, summarise
from palimpsest.harness.runs.journal import read_events
from palimpsest.harness.runs.reading import ENDED

app = typer.Typer(add_completion=False)


@app.command(
    epilog="Examples:\n\npalimpsest show 3f9c\n\npalimpsest show 3f9c --events\n\npalimpsest show 3f9c --json\n\n"
    "More: docs/command-line.md"
)
def show(
    run: Annotated[str, typer.Argument(help="A run's id, or the beginning of it.", metavar="RUN")],
    events: Annotated[bool, typer.Option("--events", help="Print the run's journal instead.")] = False,
    home: options.HomeOption = None,
    as_json: options.JsonOption = False,
) -> None:
    """Show a run: its spec, its state, its latest scores."""
    folder = find_run(options.home_folder(home), run)
    if events:
        journal = read_events(folder / "events.jsonl")
        if as_json:
            output.json_line(journal)
        for event in [] if as_json else journal:
            output.line(_event_line(event))
        return
    summary = summarise(folder)
    scores = latest_scores(folder) if summary.spec is not None else None
    if as_json:
        output.json_line({"run": summary, "scores": scores})
        return
    _print_state(summary)
    if scores is not None:
        if scores.held is not None:
            _print_held(scores.held, scores.edits)
        _print_scores(scores)
    output.line()
    output.line(next_step(summary))


def next_step(summary: RunSummary) -> str:
    """The next sensible command for a run in this state."""
    place = options.home_words(summary.folder.parent.parent)
    if summary.status in ENDED:
        return f"Next: palimpsest store ingest{place} && palimpsest site build{place}"
    if summary.status == "partial":
        return "Next: the command that began this run continues it; it is the last line of environment.json"
    return f"Next: palimpsest show {summary.run_id}{place} --events"


def _print_state(summary: RunSummary) -> None:
    done = f"{summary.edits_done} of {summary.edits_planned} edits" if summary.edits_planned else ""
    lines: list[tuple[str, Any]] = [
        ("run", summary.run_id),
        ("state", ", ".join(part for part in (summary.status, done) if part)),
        ("reason", summary.reason),
        ("folder", summary.folder),
        ("started", summary.started_at),
        ("updated", summary.updated_at),
    ]
    for name, value in (summary.spec or {}).items():
        lines.append((name, _in_words(value)))
    for name, value in lines:
        if value is not None:
            output.line(f"{name:<10} {value}")


def _in_words(value: Any) -> str:
    """A part of a spec on one line, hashes shortened."""
    if isinstance(value, dict):
        return ", ".join(f"{key} {_in_words(item)}" for key, item in value.items())
    if isinstance(value, list):
        return (
            "["
            + ", ".join(_in_words(item.get("name", item) if isinstance(item, dict) else item) for item in value)
            + "]"
        )
    if isinstance(value, str) and len(value) == 64:
        return value[:12]
    return "none" if value is None else str(value)


def _print_held(held: Held, edits: int) -> None:
    """The headline; a run without abilities says so, since that is another track."""
    until = (f"h under {limit} %: {'not yet' if n is None else f'after {n:.0f}'}" for limit, n in held.until.items())
    without = "" if held.abilities else " (without abilities)"
    output.line()
    output.line(f"{held.effective_edits:.0f} effective edits of {edits}{without}")
    output.line("; ".join([f"h {held.quality:.1f} % at the end", *until]))


def _print_scores(scores: LatestScores) -> None:
    output.line()
    output.line(f"Scores after {scores.edits} edits (in percent; magnitudes are differences of probabilities)")
    windows = list(scores.metrics)
    names = list(dict.fromkeys(name for window in scores.metrics.values() for name in window))
    output.table(["metric", *windows], [[n, *(scores.metrics[w].get(n) for w in windows)] for n in names])
    if scores.abilities:
        output.line()
        rows: list[list[Any]] = [[name, value] for name, value in scores.abilities.items()]
        if scores.abilities_kept is not None:
            rows.append(["abilities_kept", scores.abilities_kept])
        output.table(["ability", "%"], rows)


def _event_line(event: dict[str, Any]) -> str:
    rest = {key: value for key, value in event.items() if key not in ("time", "event")}
    details = "  ".join(f"{key}={_in_words(value)}" for key, value in rest.items())
    return f"{event.get('time', '–')}  {event.get('event', '–'):<14}  {details}".rstrip()
