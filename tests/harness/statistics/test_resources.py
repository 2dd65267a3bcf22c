from __future__ import annotations

import json
import threading
from concurrent.futures import ThreadPoolExecutor
from pathlib import Path
from typing import Any

import pytest
import torch

from palimpsest.harness.errors import EditorError, MissingResource
from palimpsest.harness.model.editable import EditableModel
from palimpsest.harness.model.hooks import captured_input
from palimpsest.harness.model.pristine_statistics import SecondMoments
from palimpsest.harness.statistics import resources as resources_module
from palimpsest.harness.statistics import second_moments
from palimpsest.harness.statistics.resources import Resources
from palimpsest.harness.system.locks import Held
from tests.labs.tiny_models import CORPUS, tiny_model

TEXTS = CORPUS[:5]


def fresh(folder: Path | None, architecture: str = "llama") -> Resources:
    found = Resources(tiny_model(architecture), folder)
    found.set_statistics("corpus", lambda: TEXTS)
    return found


def plain_moment(model: EditableModel, layer: int, sequences: list[list[int]]) -> torch.Tensor:
    total, count = torch.zeros(model.anatomy.d_inner, model.anatomy.d_inner, dtype=torch.float64), 0
    for ids in sequences:
        with captured_input(model.module(model.anatomy.down(layer))) as seen, torch.no_grad():
            model.model(torch.tensor([ids]))
        keys = seen[0][0].double()
        total, count = total + keys.T @ keys, count + len(keys)
    return total / count


@pytest.mark.parametrize("architecture", ["llama", "gpt2"])
def test_second_moments_are_the_plain_average(architecture: str) -> None:
    model = tiny_model(architecture)
    sequences = [model.tokenizer(text)["input_ids"] for text in TEXTS]
    found = model.resources.second_moments([0, 2])
    assert found.tokens == sum(map(len, sequences))
    for layer in (0, 2):
        assert found[layer].dtype == torch.float64
        torch.testing.assert_close(found[layer], plain_moment(model, layer, sequences), rtol=1e-4, atol=1e-5)


def test_the_number_of_tokens_is_kept_to_exactly() -> None:
    model = tiny_model("llama")
    found = model.resources.second_moments([1], 30)
    ids = model.tokenizer(TEXTS[0])["input_ids"]
    assert found.tokens == 30
    assert len(ids) > 30
    torch.testing.assert_close(found[1], plain_moment(model, 1, [ids[:30]]), rtol=1e-4, atol=1e-5)
    assert model.resources.second_moments([1], 20).texts_hash != found.texts_hash


def test_two_that_begin_at_once_make_one_pass(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """The second waits for the first, or is told at once that it is being done."""
    passes, begun, go_on = [], threading.Event(), threading.Event()
    collect = resources_module.collect_moments

    def slow(*arguments: Any) -> object:
        passes.append(arguments[1])
        begun.set()
        assert go_on.wait(60)
        return collect(*arguments)

    monkeypatch.setattr(resources_module, "collect_moments", slow)
    with ThreadPoolExecutor(2) as pool:
        first = pool.submit(fresh(tmp_path).second_moments, [0, 1])
        assert begun.wait(60)
        second = pool.submit(fresh(tmp_path).second_moments, [0, 1])
        with pytest.raises(Held):
            fresh(tmp_path).second_moments([0], wait=False)
        go_on.set()
        assert all(torch.equal(first.result()[layer], second.result()[layer]) for layer in (0, 1))
    assert passes == [[0, 1]]


def test_one_pass_serves_all_layers_and_the_disk_serves_the_next_process(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    passes: list[tuple[int, ...]] = []
    collect = resources_module.collect_moments

    def counted(model: EditableModel, layers: list[int], *others: Any) -> object:
        passes.append(tuple(layers))
        return collect(model, layers, *others)

    monkeypatch.setattr(resources_module, "collect_moments", counted)
    first = fresh(tmp_path).second_moments([0, 1, 2])
    again = fresh(tmp_path).second_moments([0, 1, 2])
    more = fresh(tmp_path).second_moments([2, 3])
    assert passes == [(0, 1, 2), (3,)]
    assert all(torch.equal(first[layer], again[layer]) for layer in (0, 1, 2))
    assert torch.equal(more[2], first[2])
    assert not list(tmp_path.glob("*.part"))


def test_spectra_are_cached_and_true(tmp_path: Path) -> None:
    found = fresh(tmp_path).spectrum(1)
    again = fresh(tmp_path).spectrum(1)
    c0 = fresh(tmp_path).second_moments([1])[1]
    assert torch.equal(found.vectors, again.vectors)
    torch.testing.assert_close(found.vectors @ torch.diag(found.values) @ found.vectors.T, c0)


@pytest.mark.parametrize("architecture", ["llama", "gpt2"])
def test_spectra_of_weights_are_true_and_cached_by_content(architecture: str, tmp_path: Path) -> None:
    model = tiny_model(architecture)
    weight = model.weight(1).double()
    made = Resources(model, tmp_path).weight_spectrum(1)
    assert torch.allclose(made.values, torch.linalg.svdvals(weight))
    assert torch.allclose(made.vectors.T @ weight @ weight.T @ made.vectors, made.values.square().diag(), atol=1e-9)
    (file,) = tmp_path.glob("weight-spectrum-*-1.safetensors")
    model.add_update(1, torch.ones_like(weight))  # the pristine weight counts
    again = Resources(model, tmp_path)
    assert torch.equal(again.weight_spectrum(1).vectors, made.vectors)
    assert list(tmp_path.iterdir()) == [file]
    other = Resources(tiny_model(architecture, seed=1), tmp_path).weight_spectrum(1)
    assert not torch.equal(other.values, made.values)


def test_a_damaged_cache_file_is_made_again(tmp_path: Path) -> None:
    first = fresh(tmp_path).second_moments([1])[1]
    (path,) = tmp_path.glob("second-moments-*")
    path.write_bytes(path.read_bytes()[:-50])
    assert torch.equal(fresh(tmp_path).second_moments([1])[1], first)


def test_other_texts_are_another_cache_entry(tmp_path: Path) -> None:
    fresh(tmp_path).second_moments([1])
    other = fresh(tmp_path)
    other.set_statistics("other", lambda: TEXTS[1:])
    other.second_moments([1])
    assert len(list(tmp_path.glob("second-moments-*"))) == 2


def test_without_a_text_the_error_says_what_to_do() -> None:
    found = Resources(tiny_model("llama"), None)
    with pytest.raises(MissingResource, match="set_statistics"):
        found.second_moments([0])
    found.set_statistics("nothing", lambda: [])
    with pytest.raises(MissingResource, match="'nothing' is empty"):
        found.second_moments([0])


def test_statistics_of_an_edited_model_are_refused() -> None:
    model = tiny_model("llama")
    before = model.resources.second_moments([0])[0]
    model.add_update(0, torch.ones_like(model.weight(0)))
    assert torch.equal(model.resources.second_moments([0])[0], before)
    with pytest.raises(EditorError, match="pristine model"):
        model.resources.second_moments([1])
    model.write_weights({name: model.pristine(name) for name in model.edited_names()})
    model.resources.second_moments([1])


def test_recorded_statistics_may_be_given() -> None:
    found = fresh(None)
    given = SecondMoments({1: torch.eye(64, dtype=torch.float64)}, 5, "x")
    found.set_second_moments(given)
    assert found.second_moments([1]) is given
    assert float(found.spectrum(1).values.sum()) == pytest.approx(64)
    with pytest.raises(MissingResource, match=r"lack layers \[0\]"):
        found.second_moments([0, 1])


def test_templates_depend_on_the_seed_alone(tmp_path: Path) -> None:
    torch.manual_seed(5)
    first = fresh(tmp_path).context_templates(3)
    state = torch.random.get_rng_state()
    assert fresh(None).context_templates(3) == first, "the disk cache must not change them"
    assert torch.equal(state, torch.random.get_rng_state()), "the global generator must not be used"
    assert fresh(tmp_path).context_templates(3) == first
    assert fresh(None).context_templates(4) != first
    clean, sampled = first
    assert clean == ["{}"] and len(sampled) == 5
    for template, start in zip(sampled, ("The", "Therefore", "Because", "I", "You"), strict=True):
        assert template.startswith(start) and template.endswith(". {}")
        assert template.count("{") == 1 and "<s>" not in template


def test_given_templates_win() -> None:
    found = fresh(None)
    found.set_context_templates([["{}"], ["So. {}"]])
    assert found.context_templates(9) == [["{}"], ["So. {}"]]


def test_what_statistics_rest_on_is_recorded(tmp_path: Path) -> None:
    found = fresh(tmp_path)
    moments = found.second_moments([1], 30)
    assert found.used == {"name": "corpus", "tokens": 30, "texts_hash": moments.texts_hash}
    (path,) = tmp_path.glob("statistics-*.json")
    assert json.loads(path.read_text())["value"] == found.used


def test_a_killed_pass_goes_on_where_it_stopped_and_ends_with_the_same_bits(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(second_moments, "TOKENS_PER_FORWARD", 32)
    whole = fresh(None).second_moments([0, 2])
    monkeypatch.setattr(second_moments, "SAVE_SECONDS", -1.0)
    seen: list[int] = []

    def die(done: int, total: int) -> None:
        seen.append(done)
        if len(seen) == 3:
            raise KeyboardInterrupt

    killed = fresh(tmp_path)
    killed.progress = die
    with pytest.raises(KeyboardInterrupt):
        killed.second_moments([0, 2])
    assert len(list(tmp_path.glob("*.partial"))) == 1
    again = fresh(tmp_path)
    again.progress = lambda done, total: seen.append(done)
    found = again.second_moments([0, 2])
    assert seen[3] == seen[2], "the pass begins with the batch that was not kept"
    assert seen[-1] == whole.tokens
    assert all(torch.equal(found[layer], whole[layer]) for layer in (0, 2))
    assert not list(tmp_path.glob("*.partial"))


def test_offloaded_statistics_live_where_they_are_told_to() -> None:
    model = tiny_model("llama")
    found = Resources(model, None, torch.device("cpu"))
    found.set_statistics("corpus", lambda: iter(TEXTS))
    assert found.second_moments([0])[0].device.type == "cpu"


def test_a_text_that_never_changes_is_read_once(tmp_path: Path) -> None:
    reads: list[int] = []

    def texts() -> list[str]:
        reads.append(1)
        return TEXTS

    for _ in range(2):
        found = Resources(tiny_model("llama"), tmp_path)
        found.set_statistics("corpus@1", texts, fixed=True)
        found.second_moments([1], 30)
    assert len(reads) == 1
    assert found.used is not None and found.used["tokens"] == 30
    found.second_moments([2], 30)
    assert len(reads) == 2, "another layer needs the text again"


@pytest.mark.parametrize("how", ["flipped", "truncated", "emptied"])
def test_a_damaged_file_of_the_cache_is_named_and_made_again_with_the_same_numbers(tmp_path: Path, how: str) -> None:
    def asked(found: Resources) -> list[Any]:
        tensors = [found.second_moments([1])[1], found.spectrum(1).vectors, found.weight_spectrum(1).vectors]
        return [tensor.tolist() for tensor in tensors] + [found.context_templates(0, 2, 4)]

    before = asked(fresh(tmp_path))
    for path in sorted(tmp_path.iterdir()):
        whole = path.read_bytes()
        middle = whole.rindex(b'"') - 2 if path.suffix == ".json" else len(whole) - 9
        flipped = whole[:middle] + bytes([whole[middle] ^ 1]) + whole[middle + 1 :]
        path.write_bytes({"flipped": flipped, "truncated": whole[:-20], "emptied": b""}[how])
        again = fresh(tmp_path)
        assert asked(again) == before, path.name
        if not path.name.startswith("statistics-"):
            assert [text.split(" is damaged")[0] for text in again.damaged] == [str(path)]
            assert asked(fresh(tmp_path)) == before and fresh(tmp_path).damaged == [], "it was made again"


def test_a_note_of_a_text_that_never_changes_is_verified(tmp_path: Path) -> None:
    first = Resources(tiny_model("llama"), tmp_path)
    first.set_statistics("corpus", lambda: TEXTS, fixed=True)
    hashed = first.second_moments([1]).texts_hash
    (note,) = tmp_path.glob("statistics-*.json")
    note.write_text(note.read_text().replace(hashed, "0" * 64))
    again = Resources(tiny_model("llama"), tmp_path)
    again.set_statistics("corpus", lambda: TEXTS, fixed=True)
    assert again.second_moments([1]).texts_hash == hashed and "statistics-" in again.damaged[0]
