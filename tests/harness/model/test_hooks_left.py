"""What a memory-based editor hangs onto the model does not stay for the next run."""

from __future__ import annotations

from palimpsest.harness.plugins.session import restore_pristine
from tests.labs.tiny_models import tiny_model


def test_hooks_are_taken_off_and_those_that_were_there_stay() -> None:
    model = tiny_model()
    block = model.module(model.anatomy.block(0))
    calls: list[str] = []
    block.register_forward_hook(lambda *_: calls.append("editor"))
    block.register_forward_pre_hook(lambda *_: calls.append("editor"))
    restore_pristine(model)
    model.model(**model.tokenizer("Oslo", return_tensors="pt"))
    assert calls == []
    assert not block._forward_hooks and not block._forward_pre_hooks
