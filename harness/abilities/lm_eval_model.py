"""The lm-eval model behind which an engine answers; importing this imports lm-eval, which is slow."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

from lm_eval.models.huggingface import HFLM
from lm_eval.models.utils import handle_stop_sequences, normalize_gen_kwargs, postprocess_generated_text

from palimpsest.harness.abilities.running_text import WINDOW, Pair, reading_windows

if TYPE_CHECKING:
    from palimpsest.harness.abilities.engine import Engine
    from palimpsest.harness.model.editable import EditableModel


_LONGEST = 8192
"""Tokens of the longest text that is asked about, also where a model would take more."""


class EngineModel(HFLM):  # type: ignore[misc]
    """`HFLM` for rendering and tokenising only; tokens are remembered, all answers come from an engine."""

    def __init__(self, model: EditableModel, engine: Engine) -> None:
        """Set up.

        Args:
            model: Its tokenizer and longest text.
            engine: Answers.
        """
        config = model.model.config.get_text_config()
        longest = min(_LONGEST, getattr(config, "max_position_embeddings", None) or _LONGEST)
        super().__init__(pretrained=model.model, tokenizer=model.tokenizer, max_length=longest, batch_size=64)
        self._engine = engine
        self._encoded: dict[tuple[str, str], Pair] = {}

    def _encode_pair(self, context: str, continuation: str) -> Pair:
        pair = (context, continuation)
        if pair not in self._encoded:
            self._encoded[pair] = super()._encode_pair(context, continuation)
        return self._encoded[pair]

    def tokens(self, context: str, continuation: str) -> int:
        """Number of tokens of a continuation behind its context."""
        return len(self._encode_pair(context, continuation)[1])

    def loglikelihood(self, requests: Any, disable_tqdm: bool = True) -> Any:
        """Log-likelihood and exactness of each (context, continuation); see lm-eval."""
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
        """Log-likelihood of each running text, in windows."""
        prefix = self.prefix_token_id
        begins = self.tok_encode("a")[:1] == [prefix]
        window = min(WINDOW, self.max_length - 1)
        pairs: list[Pair] = []
        owners: list[int] = []
        for number, request in enumerate(requests):
            tokens = self.tok_encode(request.args[0], add_special_tokens=False)
            windows = list(reading_windows(tokens, window, prefix=prefix, begins=begins))
            pairs += windows
            owners += [number] * len(windows)
        scores = self._engine.score(pairs)
        totals = [0.0] * len(requests)
        for owner, mean, (_, target) in zip(owners, scores.log_prob, pairs, strict=True):
            totals[owner] += float(mean) * len(target)
        return totals

    def generate_until(self, requests: Any, disable_tqdm: bool = True) -> list[str]:
        """Greedy text behind each context, up to a stop sequence."""
        texts = [""] * len(requests)
        eos = self.tok_decode(self.eot_token_id, skip_special_tokens=False)
        by_length: dict[int, list[int]] = {}
        stops = []
        for number, request in enumerate(requests):
            kwargs = normalize_gen_kwargs(request.args[1], self.max_gen_toks)
            stops.append(handle_stop_sequences(kwargs.pop("until", None), eos=eos))
            count = min(int(kwargs["max_gen_toks"]), self.max_length // 2)  # room for half of the context, at least
            by_length.setdefault(count, []).append(number)
        for count, numbers in by_length.items():
            prompts = [self.tok_encode(requests[n].args[0])[-(self.max_length - count) :] for n in numbers]
            for n, tokens in zip(numbers, self._engine.generate(prompts, count), strict=True):
                texts[n] = postprocess_generated_text(self.tok_decode(tokens), stops[n], None)
        return texts
