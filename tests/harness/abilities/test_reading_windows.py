"""Running text: each token asked for once, one beginning token where the model's texts have one."""

from __future__ import annotations

from types import SimpleNamespace
from typing import Any

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from lm_eval.utils import get_rolling_token_windows, make_disjoint_window

from palimpsest.harness.abilities.hf_engine import HfEngine
from palimpsest.harness.abilities.lm_eval_model import EngineModel
from palimpsest.harness.abilities.running_text import reading_windows
from palimpsest.harness.scoring.packing import TargetScores
from tests.labs.tiny_models import tiny_model

TEXT = "Anna Sorel lives in Oslo. " * 60


class Listening(HfEngine):
    """Remembers what is asked."""

    asked: Any = ()

    def score(self, continuations: Any) -> TargetScores:
        self.asked = continuations
        return super().score(continuations)


@pytest.mark.parametrize("bos", [True, False])
def test_every_window_has_the_beginning_token_once_if_texts_begin_with_it(bos: bool) -> None:
    model = tiny_model("llama", bos=bos)
    engine = Listening(model)
    lm = EngineModel(model, engine)
    (total,) = lm.loglikelihood_rolling([SimpleNamespace(args=(TEXT,))])
    assert np.isfinite(total) and len(engine.asked) > 2
    begin = model.tokenizer.bos_token_id if bos else model.tokenizer.eos_token_id
    assert engine.asked[0][0] == [begin]
    for context, target in engine.asked:
        assert [*context, *target].count(begin) == (1 if bos or context == [begin] else 0)
        assert not bos or context[0] == begin
        assert len(context) + len(target) - 1 <= model.model.config.max_position_embeddings
    plain = model.tokenizer(TEXT, add_special_tokens=False)["input_ids"]
    assert [token for _, target in engine.asked for token in target] == plain


@given(st.integers(0, 60), st.integers(1, 20))
@settings(deadline=None, max_examples=60)
def test_without_a_beginning_token_windows_are_lm_evals(length: int, window: int) -> None:
    tokens = list(range(length))
    theirs = [make_disjoint_window(pair) for pair in get_rolling_token_windows(tokens, -1, window, 1)]
    assert list(reading_windows(tokens, window, prefix=-1, begins=False)) == theirs
