"""Seeded forgeries of bundles: one thing is changed, then every sum, mean and checksum is made to fit again.

A forgery takes the random numbers and a bundle, and changes the bundle. `seal` then makes all of it consistent, as
somebody would who knows how bundles are checked.
"""

from __future__ import annotations

import hashlib
import json
import random
from collections.abc import Callable
from pathlib import Path
from typing import Any, NamedTuple

import pyarrow as pa
import pyarrow.compute as pc
import pyarrow.parquet as pq

from palimpsest.harness.specs.run_spec import RunSpec
from palimpsest.results.analysis.aggregate import aggregate_run
from palimpsest.results.reading.problems import Invalid
from palimpsest.results.reading.run_folder import read_run_folder
from palimpsest.results.submissions.bundle import means, totals
from tests.labs.synthetic import write_manifest

Change = Callable[[random.Random, Path], object]


class Forgery(NamedTuple):
    """One way to deceive."""

    name: str
    change: Change
    passes: bool = False
    """Nothing that is known offline contradicts it: docs/submitting.md must name it, and only a re-run finds it."""


# ------------------------------------------------------------------------------------------------------------ sealing


def seal(bundle: Path) -> Path:
    """Make ids, checksums, means and sums fit the content; the bundle's place, which its spec decides."""
    try:
        spec = RunSpec.model_validate_json((bundle / "spec.json").read_bytes())
    except ValueError:
        spec = None
    if spec is not None and spec.id != bundle.name:
        bundle = bundle.rename(bundle.with_name(spec.id))
    for folder in sorted((bundle / "scores").iterdir()):
        if folder.name.isdecimal() and folder.name.isascii() and any(folder.iterdir()):
            write_manifest(folder, int(folder.name))
    path = bundle / "bundle.json"
    sealed = json.loads(path.read_text())
    sealed["run"] = bundle.name
    try:
        run = read_run_folder(bundle, "")
        sealed["means"] = means(aggregate_run(run, resamples=0))
        sealed["totals"] = totals(run)
    except (Invalid, ValueError, ArithmeticError, LookupError):
        pass  # the content is no run at all, so no sums can be made of it
    files = sorted(str(p.relative_to(bundle)) for p in bundle.rglob("*") if p.is_file() and p != path)
    sealed["files"] = {name: _entry(bundle / name) for name in files}
    path.write_text(json.dumps(sealed))
    return bundle


def _entry(path: Path) -> dict[str, Any]:
    data = path.read_bytes()
    return {"bytes": len(data), "sha256": hashlib.sha256(data).hexdigest()}


# -------------------------------------------------------------------------------------------------------------- tools


def scored(rng: random.Random, bundle: Path, *, edited: bool = True) -> Path:
    """The score folder of some checkpoint."""
    folders = sorted((bundle / "scores").iterdir())
    return rng.choice(folders[1:] if edited else folders)


def table(path: Path, change: Callable[[pa.Table], pa.Table]) -> None:
    pq.write_table(change(pq.read_table(path)), path)


def column(path: Path, name: str, change: Callable[[list[Any]], list[Any]]) -> None:
    def apply(found: pa.Table) -> pa.Table:
        place = found.schema.get_field_index(name)
        values = pa.array(change(found[name].to_pylist()), found.schema.field(place).type)
        return found.set_column(place, name, values)

    table(path, apply)


def one(rng: random.Random, change: Callable[[Any], Any]) -> Callable[[list[Any]], list[Any]]:
    """Change one value of a column."""

    def apply(values: list[Any]) -> list[Any]:
        place = rng.randrange(len(values))
        return [*values[:place], change(values[place]), *values[place + 1 :]]

    return apply


def spec(bundle: Path, change: Callable[[dict[str, Any]], object]) -> None:
    content = json.loads((bundle / "spec.json").read_text())
    change(content)
    (bundle / "spec.json").write_text(json.dumps(content))


def editors(bundle: Path, **values: str) -> None:
    path = bundle / "bundle.json"
    sealed = json.loads(path.read_text())
    sealed["editors"][0].update(values)
    path.write_text(json.dumps(sealed))


def batches(bundle: Path, change: Callable[[dict[str, Any]], object]) -> None:
    path = bundle / "events.jsonl"
    lines = []
    for line in path.read_text().splitlines():
        try:
            event = json.loads(line)
        except ValueError:
            continue
        if event["event"] == "batch":
            change(event)
        lines.append(json.dumps(event))
    path.write_text("\n".join(lines) + "\n")


def segment(bundle: Path, **values: Any) -> None:
    path = bundle / "environment.json"
    content = json.loads(path.read_text())
    content["segments"][0].update(values)
    path.write_text(json.dumps(content))


def result(bundle: Path, **values: Any) -> None:
    (bundle / "result.json").write_text(json.dumps(values))


# ---------------------------------------------------------------------------------------------------------- forgeries


def _better_likelihoods(rng: random.Random, bundle: Path) -> None:
    """More likely new objects where they are the first choice anyway."""
    path, factor = scored(rng, bundle) / "probes.parquet", rng.uniform(0.3, 0.9)
    first = pq.read_table(path)["exact_new"].to_pylist()
    column(path, "nll_new", lambda values: [v * factor if f else v for f, v in zip(first, values, strict=True)])


def _hits_everywhere(rng: random.Random, bundle: Path) -> None:
    path = scored(rng, bundle) / "probes.parquet"
    tokens = pq.read_table(path)["tokens_new"].to_pylist()
    kinds = pq.read_table(path)["kind"].to_pylist()
    column(
        path,
        "hits_new",
        lambda values: [t if k != "neighborhood" else v for t, k, v in zip(tokens, kinds, values, strict=True)],
    )
    column(path, "exact_new", lambda values: [k != "neighborhood" or v for k, v in zip(kinds, values, strict=True)])
    column(
        path, "nll_new", lambda values: [0.01 if k != "neighborhood" else v for k, v in zip(kinds, values, strict=True)]
    )
    column(path, "exact_true", lambda values: [k == "neighborhood" and v for k, v in zip(kinds, values, strict=True)])


def _items_right(rng: random.Random, bundle: Path) -> None:
    column(scored(rng, bundle) / "abilities.parquet", "correct", lambda values: [True] * len(values))


def _other_answer(rng: random.Random, bundle: Path) -> None:
    column(scored(rng, bundle) / "answers.parquet", "text", one(rng, lambda _: " a fine answer"))


def _other_diagnostic(rng: random.Random, bundle: Path) -> None:
    column(scored(rng, bundle) / "diagnostics.parquet", "value", one(rng, lambda value: value / 2))


def _without_failures(rng: random.Random, bundle: Path) -> None:
    def keep(found: pa.Table) -> pa.Table:
        return found.filter(pc.or_(pc.equal(found["kind"], "neighborhood"), found["exact_new"]))

    table(scored(rng, bundle) / "probes.parquet", keep)


def _without_kind(rng: random.Random, bundle: Path) -> None:
    kind = rng.choice(("rewrite", "paraphrase", "neighborhood"))
    table(scored(rng, bundle) / "probes.parquet", lambda t: t.filter(pc.not_equal(t["kind"], kind)))


def _without_kind_anywhere(rng: random.Random, bundle: Path) -> None:
    kind = rng.choice(("paraphrase", "neighborhood"))
    for path in bundle.rglob("probes.parquet"):
        table(path, lambda t: t.filter(pc.not_equal(t["kind"], kind)))


def _without_rows(rng: random.Random, bundle: Path) -> None:
    name = rng.choice(("probes.parquet", "abilities.parquet", "answers.parquet"))
    table(scored(rng, bundle, edited=False) / name, lambda t: t.slice(rng.randrange(1, 5)))


def _twice(rng: random.Random, bundle: Path) -> None:
    name = rng.choice(("probes.parquet", "abilities.parquet", "answers.parquet"))
    table(scored(rng, bundle) / name, lambda t: pa.concat_tables([t, t.slice(0, 1)]))


def _every_other_item(rng: random.Random, bundle: Path) -> None:
    for path in bundle.rglob("abilities.parquet"):
        table(path, lambda t: t.filter(pa.array([item % 2 == 0 for item in t["item"].to_pylist()])))


def _fewer_items(rng: random.Random, bundle: Path) -> None:
    most = rng.randrange(20, 199)
    for path in bundle.rglob("abilities.parquet"):
        table(path, lambda t: t.filter(pc.less(t["item"], most)))


def _window(rng: random.Random, bundle: Path) -> None:
    name = rng.choice(("all", "first", "latest", "planned"))
    column(scored(rng, bundle) / "probes.parquet", f"window_{name}", one(rng, lambda value: not value))


def _chance(rng: random.Random, bundle: Path) -> None:
    level = rng.choice((0.0, 0.1, 0.99))
    for path in bundle.rglob("abilities.parquet"):
        column(path, "chance", lambda values: [level] * len(values))


def _tokens(rng: random.Random, bundle: Path) -> None:
    column(scored(rng, bundle) / "probes.parquet", "tokens_new", one(rng, lambda value: value + 1))


def _case_text(rng: random.Random, bundle: Path) -> None:
    name, field = rng.choice(
        (("cases.parquet", "subject"), ("cases.parquet", "target_new"), ("probes.parquet", "prompt"))
    )
    column(bundle / name, field, one(rng, lambda value: value.replace("e", "i") + "s"))


def _extra_file(rng: random.Random, bundle: Path) -> None:
    name = rng.choice(
        ("notes.txt", "scores/000040/texts.parquet", "scores/000040/run.py", "scores/000020/continuations.parquet")
    )
    (bundle / name).write_bytes(rng.randbytes(100))


def _extra_folder(rng: random.Random, bundle: Path) -> None:
    name = rng.choice(("1", "00000", "٠٠٠٠٤٠", "000099", "0000040", "<b>x"))
    place = bundle / "scores" / name
    place.mkdir()
    if rng.random() < 0.7:
        (place / "probes.parquet").write_bytes(rng.randbytes(1000))


def _extra_column(rng: random.Random, bundle: Path) -> None:
    path = rng.choice(sorted(bundle.rglob("*.parquet")))
    table(path, lambda t: t.append_column("payload", pa.array([rng.randbytes(20).hex()] * len(t))))


def _metadata(rng: random.Random, bundle: Path) -> None:
    path = rng.choice(sorted(bundle.rglob("*.parquet")))
    table(path, lambda t: t.replace_schema_metadata({"payload": rng.randbytes(50).hex()}))


def _hidden_bytes(rng: random.Random, bundle: Path) -> None:
    path = bundle / rng.choice(("spec.json", "environment.json", "result.json"))
    path.write_text(path.read_text() + " " * 300_000)


def _entry_of_no_run(rng: random.Random, bundle: Path) -> None:
    if rng.random() < 0.5:
        segment(bundle, payload="x" * 100)
    else:
        result(bundle, status="complete", edits=40, reason=None, payload="x")


def _editor_name(rng: random.Random, bundle: Path) -> None:
    name = rng.choice(("mеmit", "Memit", "memit2", "memit "))  # the first with a Cyrillic letter
    editors(bundle, name=name)
    spec(bundle, lambda content: content["editor"].update(name=name))


def _other_editor(rng: random.Random, bundle: Path) -> None:
    name = rng.choice(("rome", "alphaedit", "ft-l"))
    editors(bundle, name=name)
    spec(bundle, lambda content: content["editor"].update(name=name))


def _distribution(rng: random.Random, bundle: Path) -> None:
    name = rng.choice(("palimpsest_bench", "Palimpsest-Bench", "palimpsest-benсh", "my-editors"))
    editors(bundle, distribution=name)
    spec(bundle, lambda content: content["editor"].update(distribution=name))


def _version(rng: random.Random, bundle: Path) -> None:
    version = rng.choice(("9.9.9", "0.0.1", "1.0", "0.1.0.dev1"))
    editors(bundle, version=version)
    spec(bundle, lambda content: content["editor"].update(version=version))


def _source(rng: random.Random, bundle: Path) -> None:
    editors(bundle, sha256=rng.choice(("0" * 64, rng.randbytes(32).hex())))


def _model(rng: random.Random, bundle: Path) -> None:
    change = rng.choice(
        ({"fingerprint": "1" * 64}, {"name": "my-model"}, {"dtype": "bfloat16"}, {"name": "pocket-gpt2"})
    )
    spec(bundle, lambda content: content["model"].update(change))


def _task(rng: random.Random, bundle: Path) -> None:
    change = rng.choice(
        ({"content_hash": "1" * 64}, {"name": "zsre"}, {"name": "counterfact", "order_hash": "1" * 64}, {"name": "x"})
    )
    spec(bundle, lambda content: content["task"].update(change))


def _abilities(rng: random.Random, bundle: Path) -> None:
    if rng.random() < 0.5:
        spec(bundle, lambda content: content["abilities"][0].update(content_hash="1" * 64))
    else:
        spec(bundle, lambda content: content["abilities"].pop())


def _protocol(rng: random.Random, bundle: Path) -> None:
    spec(bundle, lambda content: content.update(protocol=rng.choice((999, -1, 0, content["protocol"] + 1, 2**70))))


def _schedule(rng: random.Random, bundle: Path) -> None:
    change = rng.choice(({"batch_size": 20}, {"batch_size": 5}, {"order_seed": 3}, {"checkpoints": [20, 40]}))
    spec(bundle, lambda content: content["schedule"].update(change))


def _seed(rng: random.Random, bundle: Path) -> None:
    spec(bundle, lambda content: content.update(seed=rng.randrange(1, 1000)))


def _config(rng: random.Random, bundle: Path) -> None:
    spec(bundle, lambda content: content["editor"]["config"].update(second_moment_weight=rng.uniform(1, 9)))


def _nanoseconds(rng: random.Random, bundle: Path) -> None:
    seconds = rng.choice((1e-9, -1.0, 0.0, 1e300))
    batches(bundle, lambda event: event.update(seconds_edit=seconds))


def _no_memory(rng: random.Random, bundle: Path) -> None:
    batches(bundle, lambda event: event.update(peak_memory_mb=rng.choice((0, -5, 1e12))))


def _quicker(rng: random.Random, bundle: Path) -> None:
    batches(bundle, lambda event: event.update(seconds_edit=round(event["seconds_edit"] / 3, 4), peak_memory_mb=300.0))


def _other_report(rng: random.Random, bundle: Path) -> None:
    batches(bundle, lambda event: event["report"]["values"].update(loss_last=rng.random()))


def _cores(rng: random.Random, bundle: Path) -> None:
    segment(bundle, **{rng.choice(("cores", "threads", "memory_gb")): rng.choice((-2, 0, 10**9))})


def _machine(rng: random.Random, bundle: Path) -> None:
    segment(bundle, cpu="Pocket calculator", gpu="H200", commit="f" * 40, dirty=False, command="palimpsest run")


def _collapse(rng: random.Random, bundle: Path) -> None:
    values = rng.choice(
        ({"edits": 25, "reason": "x"}, {"edits": 20, "reason": None}, {"edits": 20}, {"edits": 20, "reason": " "})
    )
    result(bundle, status="collapsed", **values)
    for path in sorted((bundle / "scores" / "000040").iterdir()):
        path.unlink()
    (bundle / "scores" / "000040").rmdir()


def _collapsed_honestly(rng: random.Random, bundle: Path) -> None:
    result(bundle, status="collapsed", edits=20, reason="loss is NaN")
    for path in sorted((bundle / "scores" / "000040").iterdir()):
        path.unlink()
    (bundle / "scores" / "000040").rmdir()


def _batch_left_out(rng: random.Random, bundle: Path) -> None:
    path = bundle / "events.jsonl"
    number = rng.randrange(4)
    path.write_text("".join(line + "\n" for line in path.read_text().splitlines() if f'"index":{number},' not in line))


def _checkpoint_left_out(rng: random.Random, bundle: Path) -> None:
    folder = scored(rng, bundle)
    for path in sorted(folder.iterdir()):
        path.unlink()
    folder.rmdir()


def _payload_in_the_journal(rng: random.Random, bundle: Path) -> None:
    """Something that no run writes into its journal, in one of the places where it could stand."""
    payload = "x" * rng.choice((10, 5_000))
    change = rng.choice(
        (
            lambda event: event.update(payload=payload),
            lambda event: event.update(event=payload),
            lambda event: event["report"].update(payload={}),
            lambda event: event["report"]["values"].update(loss=payload),
            lambda event: event["report"]["values"].update({payload * 500: 1.0}),
            lambda event: event.update(report=[payload]),
        )
    )
    batches(bundle, change)


def _times(rng: random.Random, bundle: Path) -> None:
    time = rng.choice(("yesterday", "2999-01-01T00:00:00+00:00", None, 3))
    if rng.random() < 0.5:
        segment(bundle, started_at=time)
    else:
        batches(bundle, lambda event: event.update(time=time))


def _release(rng: random.Random, bundle: Path) -> None:
    change = rng.choice(
        ({"palimpsest_version": "999"}, {"palimpsest_version": "new"}, {"commit": "mine"}, {"diagnostics": "all"})
    )
    segment(bundle, **change)


def _torn_journal(rng: random.Random, bundle: Path) -> None:
    with (bundle / "events.jsonl").open("ab") as file:
        file.write(b'{"time": "20' + rng.randbytes(20).replace(b"\n", b""))


ALL: tuple[Forgery, ...] = (
    Forgery("likelihoods", _better_likelihoods, passes=True),
    Forgery("outcomes of probes", _hits_everywhere, passes=True),
    Forgery("outcomes of ability items", _items_right, passes=True),
    Forgery("answers", _other_answer, passes=True),
    Forgery("diagnostics", _other_diagnostic, passes=True),
    Forgery("editor", _other_editor, passes=True),
    Forgery("seed", _seed, passes=True),
    Forgery("configuration", _config, passes=True),
    Forgery("seconds and memory", _quicker, passes=True),
    Forgery("reports of batches", _other_report, passes=True),
    Forgery("machine", _machine, passes=True),
    Forgery("an early collapse", _collapsed_honestly, passes=True),
    Forgery("without failed probes", _without_failures),
    Forgery("without a kind of probe", _without_kind),
    Forgery("without a kind of probe at every checkpoint", _without_kind_anywhere),
    Forgery("without rows", _without_rows),
    Forgery("rows twice", _twice),
    Forgery("every other item", _every_other_item),
    Forgery("fewer items", _fewer_items),
    Forgery("other windows", _window),
    Forgery("chance", _chance),
    Forgery("tokens", _tokens),
    Forgery("texts of cases", _case_text),
    Forgery("another file", _extra_file),
    Forgery("another folder", _extra_folder),
    Forgery("another column", _extra_column),
    Forgery("metadata", _metadata),
    Forgery("bytes that nobody reads", _hidden_bytes),
    Forgery("another entry", _entry_of_no_run),
    Forgery("name of the editor", _editor_name),
    Forgery("distribution", _distribution),
    Forgery("version", _version),
    Forgery("source", _source),
    Forgery("model", _model),
    Forgery("task", _task),
    Forgery("abilities", _abilities),
    Forgery("protocol", _protocol),
    Forgery("schedule", _schedule),
    Forgery("no time", _nanoseconds),
    Forgery("no memory", _no_memory),
    Forgery("cores", _cores),
    Forgery("a collapse that cannot be", _collapse),
    Forgery("a batch left out", _batch_left_out),
    Forgery("a payload in the journal", _payload_in_the_journal),
    Forgery("a torn journal", _torn_journal),
    Forgery("times that have not passed", _times),
    Forgery("release", _release),
    Forgery("a checkpoint left out", _checkpoint_left_out),
)
