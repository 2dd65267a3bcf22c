"""The engine vLLM: started once for a model, then given the edited weights before each round of questions.

All weights are sent: vLLM fuses query, key and value (and gate and up), and would take a part of them without a word.
The cache of prompt prefixes is emptied, or answers would come from before the edit. Both are checked by a canary, see
`palimpsest.harness.abilities.engine.hand_over`.
"""

from __future__ import annotations

import os
from collections.abc import Iterator, Sequence
from pathlib import Path
from typing import TYPE_CHECKING, Any

import numpy as np
from torch import Tensor

from palimpsest.harness.abilities.engine import Pairs
from palimpsest.harness.errors import MissingResource
from palimpsest.harness.model.tokens import end_tokens, until_end
from palimpsest.harness.scoring.packing import TargetScores

if TYPE_CHECKING:
    from palimpsest.harness.model.editable import EditableModel

MEMORY_SHARE = 0.35
"""Share of the GPU that vLLM may take: the model in memory, which is edited, needs the rest."""
LONGEST = 4096
_SETTINGS = {
    "VLLM_ENABLE_V1_MULTIPROCESSING": "0",  # weights are handed over in this process
    "VLLM_NO_USAGE_STATS": "1",
    "VLLM_CPU_KVCACHE_SPACE": "1",
    "VLLM_LOGGING_LEVEL": "ERROR",
}


class VllmEngine:
    """vLLM in this process; see `palimpsest.harness.abilities.engine.Engine`."""

    name = "vllm"
    in_memory = False

    def __init__(self, model: EditableModel, folder: Path) -> None:
        """Start vLLM.

        Args:
            model: The model in memory, for its tokenizer, data type and longest text.
            folder: Where the files of the pristine model are.

        Raises:
            MissingResource: vLLM is not installed, or does not start with this model.
        """
        for name, value in _SETTINGS.items():
            os.environ.setdefault(name, value)
        try:
            from vllm import LLM
        except ImportError as error:
            raise MissingResource(
                'vLLM is not installed. Install it with: pip install "palimpsest-bench[vllm]", or use --engine hf.'
            ) from error
        config = model.model.config.get_text_config()
        longest = min(LONGEST, getattr(config, "max_position_embeddings", LONGEST))
        try:
            self._llm: Any = LLM(
                model=str(folder),
                tokenizer=str(folder),
                dtype=str(model.model.dtype).removeprefix("torch."),
                max_model_len=longest,
                enforce_eager=True,
                generation_config="vllm",  # defaults of its own: the model's generation_config.json has no say
                gpu_memory_utilization=MEMORY_SHARE,
                disable_log_stats=True,
            )
        except Exception as error:  # vLLM has errors of its own for every lack
            raise MissingResource(f"vLLM does not start with {folder}: {error}. Use --engine hf.") from error
        self._longest, self._ends = longest, end_tokens(model.model, model.tokenizer)

    def hand_over(self, model: EditableModel) -> None:
        """Send every weight, then forget what was computed with the old ones."""
        self._llm.collective_rpc("reload_weights", kwargs={"weights_iterator": list(weights_of(model))})
        self._llm.reset_prefix_cache()

    def score(self, continuations: Pairs) -> TargetScores:
        """See `Engine`; the prompt's own log-probabilities are read."""
        if not continuations:
            return TargetScores(np.zeros(0), np.zeros(0, dtype=np.int64))
        from vllm import SamplingParams

        rows = [[*context, *target][-(self._longest - 1) :] for context, target in continuations]
        asked = SamplingParams(max_tokens=1, temperature=0.0, prompt_logprobs=1)
        answers = self._llm.generate([{"prompt_token_ids": row} for row in rows], asked, use_tqdm=False)
        log_prob, hits = np.zeros(len(rows)), np.zeros(len(rows), dtype=np.int64)
        for i, (answer, row, (_, target)) in enumerate(zip(answers, rows, continuations, strict=True)):
            first = len(row) - len(target)
            entries = zip(answer.prompt_logprobs[first:], row[first:], strict=True)
            read = [(seen[token].logprob, seen[token].rank == 1) for seen, token in entries]
            log_prob[i] = np.mean([value for value, _ in read]) if read else 0.0
            hits[i] = sum(best and np.isfinite(value) for value, best in read)
        return TargetScores(log_prob, hits)

    def generate(self, prompts: Sequence[Sequence[int]], max_new_tokens: int) -> list[list[int]]:
        """See `Engine`."""
        if not prompts:
            return []
        from vllm import SamplingParams

        how = SamplingParams(max_tokens=max_new_tokens, temperature=0.0)
        rows = [{"prompt_token_ids": list(prompt)[-(self._longest - max_new_tokens) :]} for prompt in prompts]
        answers = self._llm.generate(rows, how, use_tqdm=False)
        return [until_end(list(answer.outputs[0].token_ids), self._ends) for answer in answers]


def weights_of(model: EditableModel) -> Iterator[tuple[str, Tensor]]:
    """All weights by name as a saved model has them: a head that is tied to the embeddings is left out."""
    tied = getattr(model.model.config.get_text_config(), "tie_word_embeddings", False)
    head = model.model.get_output_embeddings()
    for name, tensor in model.model.state_dict().items():
        if tied and head is not None and name.endswith("lm_head.weight"):
            continue
        yield name, tensor
