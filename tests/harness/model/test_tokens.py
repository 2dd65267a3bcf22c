from __future__ import annotations

from functools import cache
from typing import Any

import pytest
import transformers as hf
from tokenizers import Tokenizer, decoders, normalizers, pre_tokenizers, processors, trainers
from tokenizers.models import BPE, WordLevel

from palimpsest.harness.model.tokens import continuation_ids, prompt_ids
from tests.labs.tiny_models import CORPUS, tokenizer

WORDS = [" Brno", " Kraków by the river", " Zoë Müller", " 1990", " ☂"]


@cache
def sentence_piece(*, prepends: str, eos: bool = False) -> Any:
    """A tokenizer built like Mistral's (a space before the first word) or Gemma's (none), with BOS, perhaps EOS."""
    inner = Tokenizer(BPE(byte_fallback=True, unk_token="<unk>"))
    if prepends == "normalizer":
        inner.normalizer = normalizers.Sequence([normalizers.Prepend("▁"), normalizers.Replace(" ", "▁")])
        inner.pre_tokenizer = pre_tokenizers.Split("▁", "merged_with_next")
    elif prepends == "metaspace":
        inner.pre_tokenizer = pre_tokenizers.Metaspace(prepend_scheme="first")
    else:
        inner.normalizer = normalizers.Replace(" ", "▁")
        inner.pre_tokenizer = pre_tokenizers.Split("▁", "merged_with_next")
    inner.decoder = decoders.Sequence([
        decoders.Replace("▁", " "), decoders.ByteFallback(), decoders.Fuse(), decoders.Strip(" ", 1, 0)
    ])  # fmt: skip
    special = ["<unk>", "<s>", "</s>", *(f"<0x{byte:02X}>" for byte in range(256))]
    inner.train_from_iterator(CORPUS, trainers.BpeTrainer(vocab_size=500, special_tokens=special, show_progress=False))
    inner.post_processor = processors.TemplateProcessing(
        single="<s> $A </s>" if eos else "<s> $A", special_tokens=[("<s>", 1), ("</s>", 2)]
    )
    return hf.PreTrainedTokenizerFast(
        tokenizer_object=inner, bos_token="<s>", eos_token="</s>", pad_token="</s>", unk_token="<unk>"
    )


@pytest.mark.parametrize("prepends", ["normalizer", "metaspace", "nothing"])
def test_a_target_has_the_tokens_that_it_has_behind_its_prompt(prepends: str) -> None:
    words = sentence_piece(prepends=prepends)
    for text, found in zip(WORDS, continuation_ids(words, WORDS), strict=True):
        whole = words("Zoë Müller lives in" + text)["input_ids"]
        (prompt,) = prompt_ids(words, ["Zoë Müller lives in"])
        assert prompt + found == whole


@pytest.mark.parametrize("bos", [True, False])
def test_byte_level_targets_are_those_of_the_text_alone(bos: bool) -> None:
    words = tokenizer(bos=bos)
    assert continuation_ids(words, WORDS) == [words(text, add_special_tokens=False)["input_ids"] for text in WORDS]
    assert continuation_ids(words, []) == prompt_ids(words, []) == []


def test_a_token_that_closes_a_text_is_not_part_of_a_prompt() -> None:
    closing = sentence_piece(prepends="nothing", eos=True)
    for text, found in zip(WORDS, prompt_ids(closing, WORDS), strict=True):
        assert [*found, closing.eos_token_id] == closing(text)["input_ids"]


def test_words_that_a_tokenizer_does_not_know_stay() -> None:
    inner = Tokenizer(WordLevel({"<unk>": 0, "known": 1}, unk_token="<unk>"))
    inner.pre_tokenizer = pre_tokenizers.WhitespaceSplit()
    words = hf.PreTrainedTokenizerFast(tokenizer_object=inner, unk_token="<unk>", pad_token="<unk>")
    assert prompt_ids(words, ["known a", "a"]) == [[1, 0], [0]]
    assert continuation_ids(words, [" known", " a"]) == [[1], [0]]
