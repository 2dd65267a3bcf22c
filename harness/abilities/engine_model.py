"""The lm-eval model behind which an engine answers; importing lm-eval is slow, so it is done on first use."""

from __future__ import annotations

from functools import cache
from typing import TYPE_CHECKING, Any

if TYPE_CHECKING:
    from palimpsest.harness.abilities.engine import Engine
    from palimpsest.harness.model.editable import EditableModel


WINDOW = 512
"""Tokens of the windows that running text is read in, each token once; models with shorter contexts take theirs."""
_LONGEST = 8192


def make_lm(model: EditableModel, engine: Engine) -> Any:
    """An lm-eval model for the tokenizer of ``model`` that asks ``engine``."""
    return _engine_model_class()(model, engine)


@cache
def _engine_model_class() -> type[Any]:
    from lm_eval.models.huggingface import HFLM
    from lm_eval.models.utils import handle_stop_sequences, normalize_gen_kwargs, postprocess_generated_text
    from lm_eval.utils import get_rolling_token_windows, make_disjoint_window

    class EngineModel(HFLM):  # type: ignore[misc]
        """`HFLM` for rendering and tokenising only; tokens are remembered, all answers come from an engine."""

        def __init__(self, model: EditableModel, engine: Engine) -> None:
            config = model.model.config.get_text_config()
            longest = min(_LONGEST, getattr(config, "max_position_embeddings", None) or _LONGEST)
            super().__init__(pretrained=model.model, tokenizer=model.tokenizer, max_length=longest, batch_size=64)
            self._engine = engine
            self._encoded: dict[tuple[str, str], tuple[list[int], list[int]]] = {}

        def _encode_pair(self, context: str, continuation: str) -> tuple[list[int], list[int]]:
            pair = (context, continuation)
            if pair not in self._encoded:
                self._encoded[pair] = super()._encode_pair(context, continuation)
            return self._encoded[pair]

        def loglikelihood(self, requests: Any, disable_tqdm: bool = True) -> Any:
            return super().loglikelihood(requests, disable_tqdm=True)

        def _loglikelihood_tokens(self, requests: Any, **_: Any) -> list[tuple[float, bool]]:
            pairs = []
            for _texts, context, target in requests:
                kept = max(1, self.max_length + 1 - len(target))  # as HFLM: too long texts lose their beginning
                pairs.append((context[-kept:], target))
            scores = self._engine.score(pairs)
            return [
                (float(mean) * len(target), int(hits) == len(target))
                for mean, hits, (_, target) in zip(scores.log_prob, scores.hits, pairs, strict=True)
            ]

        def loglikelihood_rolling(self, requests: Any, disable_tqdm: bool = True) -> list[float]:
            window = min(WINDOW, self.max_length - 1)
            pairs: list[Any] = []
            owners: list[int] = []
            for number, request in enumerate(requests):
                tokens = self.tok_encode(request.args[0])
                windows = get_rolling_token_windows(tokens, self.prefix_token_id, window, context_len=1)
                for context, target in map(make_disjoint_window, windows):
                    pairs.append((context, target))
                    owners.append(number)
            scores = self._engine.score(pairs)
            totals = [0.0] * len(requests)
            for owner, mean, (_, target) in zip(owners, scores.log_prob, pairs, strict=True):
                totals[owner] += float(mean) * len(target)
            return totals

        def generate_until(self, requests: Any, disable_tqdm: bool = True) -> list[str]:
            texts = [""] * len(requests)
            eos = self.tok_decode(self.eot_token_id, skip_special_tokens=False)
            by_length: dict[int, list[int]] = {}
            stops = []
            for number, request in enumerate(requests):
                kwargs = normalize_gen_kwargs(request.args[1], self.max_gen_toks)
                stops.append(handle_stop_sequences(kwargs.pop("until", None), eos=eos))
                by_length.setdefault(int(kwargs["max_gen_toks"]), []).append(number)
            for count, numbers in by_length.items():
                prompts = [self.tok_encode(requests[n].args[0])[-(self.max_length - count) :] for n in numbers]
                for n, tokens in zip(numbers, self._engine.generate(prompts, count), strict=True):
                    texts[n] = postprocess_generated_text(self.tok_decode(tokens), stops[n], None)
            return texts

    return EngineModel
