from __future__ import annotations

import pytest
import torch

from palimpsest.editors.toolkit.keys import keys_at, residual_stream_at
from palimpsest.editors.toolkit.requests import in_template, target_ids
from palimpsest.harness.errors import EditorError
from palimpsest.harness.model.hooks import captured_input, captured_output
from palimpsest.harness.model.prompts import sentences
from palimpsest.harness.specs.cases import EditRequest
from tests.labs.tiny_models import ARCHITECTURES, REQUESTS, TEMPLATES, tiny_model


@pytest.mark.parametrize("bos", [True, False])
def test_the_lookup_is_the_last_token_of_the_subject(bos: bool) -> None:
    model = tiny_model("llama", bos=bos)
    for request in REQUESTS:
        (sentence,) = sentences(model, [(request.prompt, request.subject)])
        read = model.tokenizer.decode(sentence.ids[: sentence.lookup + 1], skip_special_tokens=True)
        assert read.endswith(request.subject)
        assert (sentence.ids[0] == model.tokenizer.bos_token_id) is bos
        if request.prompt.endswith("{}"):
            assert sentence.lookup == len(sentence.ids) - 1


@pytest.mark.parametrize("bos", [True, False])
def test_targets_have_one_leading_space_and_no_special_token(bos: bool) -> None:
    model = tiny_model("llama", bos=bos)
    for text in ("Kraków by the river", " Kraków by the river"):
        ids = target_ids(model, EditRequest(0, "{}", "a", text, ""))
        assert model.tokenizer.decode(ids) == " Kraków by the river"
    for empty in ("", "  "):
        with pytest.raises(EditorError, match="empty target"):
            target_ids(model, EditRequest(7, "{}", "a", empty, ""))


def test_bad_prompts_are_errors() -> None:
    model = tiny_model("llama")
    with pytest.raises(EditorError, match=r"no \{\}"):
        sentences(model, [("no place", "a")])
    with pytest.raises(EditorError, match="no token of its own"):
        sentences(model, [("The {} is", "")])


def test_braces_elsewhere_do_no_harm() -> None:
    assert in_template("I think. {}", "{} is {x}") == "I think. {} is {x}"
    (sentence,) = sentences(tiny_model("llama"), [("{} is {x}", "Anna")])
    assert tiny_model("llama").tokenizer.decode(sentence.ids, skip_special_tokens=True) == "Anna is {x}"


@pytest.mark.parametrize("architecture", ARCHITECTURES)
def test_keys_are_the_mean_of_group_means(architecture: str) -> None:
    model = tiny_model(architecture)
    for number, request in enumerate(REQUESTS[:3]):
        groups = []
        for group in TEMPLATES:
            keys = []
            for template in group:
                (sentence,) = sentences(model, [(in_template(template, request.prompt), request.subject)])
                with captured_input(model.module(model.anatomy.down(2))) as seen, torch.no_grad():
                    model.model(torch.tensor([sentence.ids]))
                keys.append(seen[0][0, sentence.lookup])
            groups.append(torch.stack(keys).mean(0))
        found = keys_at(model, REQUESTS, TEMPLATES, 2)
        assert found.shape == (model.anatomy.d_inner, len(REQUESTS))
        torch.testing.assert_close(found[:, number], torch.stack(groups).mean(0), rtol=1e-4, atol=1e-5)


def test_the_present_stream_is_read_at_the_clean_prompt() -> None:
    model = tiny_model("gpt_neox")
    found = residual_stream_at(model, REQUESTS, 1)
    for number, request in enumerate(REQUESTS):
        (sentence,) = sentences(model, [(request.prompt, request.subject)])
        with captured_output(model.module(model.anatomy.block(1))) as seen, torch.no_grad():
            model.model(torch.tensor([sentence.ids]))
        torch.testing.assert_close(found[:, number], seen[0][0, sentence.lookup], rtol=1e-4, atol=1e-5)
