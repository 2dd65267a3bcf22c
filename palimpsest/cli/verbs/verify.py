"""`palimpsest verify`: is a submission what it says? Without running anything of it, or by doing its run again."""

from __future__ import annotations

from dataclasses import asdict
from pathlib import Path
from typing import TYPE_CHECKING, Annotated, Any

import typer

from palimpsest.cli import means, options, output
from palimpsest.cli.progress import make_progress
from palimpsest.harness.errors import UsageError
from palimpsest.harness.statistics.texts import StatisticsSource
from palimpsest.results.submissions.bounded import CheckedBundle, verify_bounded
from palimpsest.results.submissions.changes import changed_bundles, requirement_lines
from palimpsest.tasks.registry import data_files

if TYPE_CHECKING:
    from palimpsest.results.submissions.rerun import Rerun

app = typer.Typer(add_completion=False)

_WORDS = {
    "bits": "agrees to the bit",
    "tolerance": "agrees within the tolerances",
    "differs": "DIFFERS",
}


@app.command(
    epilog="Examples:\n\npalimpsest verify results/submissions/3f9c0a1b2c3d\n\n"
    "palimpsest verify results/submissions/3f9c0a1b2c3d --rerun\n\n"
    "palimpsest verify --since main\n\nMore: docs/submitting.md"
)
def verify(
    bundles: Annotated[
        list[Path] | None, typer.Argument(help="Folders that `submit` made.", metavar="BUNDLE…", show_default=False)
    ] = None,
    since: Annotated[
        str | None,
        typer.Option("--since", metavar="REVISION", help="The bundles that changed since this Git revision."),
    ] = None,
    other_files: Annotated[
        bool, typer.Option("--other-files", help="With --since: other files may change, too; for maintainers.")
    ] = False,
    requirements: Annotated[
        Path | None,
        typer.Option("--requirements", metavar="FILE", help="Write which releases the editors are, for pip."),
    ] = None,
    again: Annotated[
        bool, typer.Option("--rerun", help="Also do each run again, with the installed plugin, and compare.")
    ] = False,
    checkpoints: Annotated[
        int, typer.Option("--checkpoints", min=1, help="How many of a run's checkpoints are compared.")
    ] = 2,
    seed: Annotated[int, typer.Option("--seed", min=0, help="Which ones.")] = 0,
    data: options.DataOption = None,
    ability_data: options.AbilityDataOption = None,
    stats_text: options.StatsTextOption = None,
    home: options.HomeOption = None,
    as_json: options.JsonOption = False,
) -> None:
    """Check bundles: schema, checksums, completeness, values, means against rows; nothing of them is run."""
    options.writable_file(requirements, "--requirements")
    if other_files and since is None:
        raise UsageError("--other-files goes with --since, which names what is compared with.")
    changed, strange = (
        ([], []) if since is None else changed_bundles(since, options.SUBMISSIONS, other_files=other_files)
    )
    chosen = [*(bundles or ()), *changed]
    if other_files and not chosen and not strange:
        output.note(f"No bundle changed since {since}.")
    else:
        _require_any(chosen, strange, since)
    files = data_files(data or ())
    given = means.checked("cpu", None, offload=False, data=ability_data, text=stats_text, files=files)
    results: list[dict[str, Any]] = []
    for problem in strange:
        results.append({"bundle": problem.path, "problems": [problem._asdict()]})
        if not as_json:
            output.line(f"{problem.path}: {problem.message}")
    for bundle in chosen:
        checked = verify_bounded(bundle)
        result: dict[str, Any] = {"bundle": bundle, "problems": [problem._asdict() for problem in checked.problems]}
        if again and not checked.problems:
            found = _done_again(bundle, checked, options.home_folder(home), checkpoints, seed, given)
            result["rerun"] = {**asdict(found), "verdict": found.verdict}
        results.append(result)
        if not as_json:
            _tell(bundle, result)
    if as_json:
        output.json_line(results)
    if requirements is not None:
        good = [one["bundle"] for one in results if not one["problems"]]
        requirements.write_text("".join(requirement_lines(good)), encoding="utf-8")
    if any(r["problems"] or r.get("rerun", {}).get("verdict") == "differs" for r in results):
        raise typer.Exit(1)


def _require_any(chosen: list[Path], strange: list[Any], since: str | None) -> None:
    if not chosen and not strange:
        changed = f"Nothing in {options.SUBMISSIONS} changed since {since}." if since else "No bundle is named."
        raise UsageError(f"{changed} Name one, e.g. palimpsest verify {options.SUBMISSIONS}/3f9c0a1b2c3d")


def _done_again(
    bundle: Path, checked: CheckedBundle, home: Path, checkpoints: int, seed: int, given: means.Means
) -> Rerun:
    # Late: torch loads in 2 s, and only a re-run needs it.
    from palimpsest.results.submissions.rerun import rerun

    source, digest = given.statistics, given.statistics_hash or ""
    statistics = None if source is None else StatisticsSource(source, digest)
    return rerun(
        bundle,
        checked,
        home / "reruns",
        make_progress(),
        given.installed,
        statistics=statistics,
        count=checkpoints,
        seed=seed,
    )


def _tell(bundle: Path, result: dict[str, Any]) -> None:
    for problem in result["problems"]:
        output.line(f"{bundle.name}  {problem['path']}: {problem['message']}")
    if result["problems"]:
        output.line(f"{bundle.name}  {len(result['problems'])} problems")
        return
    output.line(f"{bundle.name}  good")
    found = result.get("rerun")
    if found is None:
        return
    for point in found["checkpoints"]:
        bits = "same bits" if point["same_bits"] else (
            f"{point['mean_nats']:.2g} nats apart on average, {100 * point['different']:.2g} % answered otherwise"
        )  # fmt: skip
        output.line(f"{bundle.name}  after {point['edits']} edits: {bits}")
    if found["platform"]:
        output.line(f"{bundle.name}  another platform: {'; '.join(found['platform'])}")
    if not found["same_source"]:
        output.line(f"{bundle.name}  the installed editor's source is not that of the submission")
    output.line(f"{bundle.name}  the re-run {_WORDS[found['verdict']]}")
