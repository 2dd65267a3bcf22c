"""A byte-level BPE vocabulary for the pocket models; digits stand alone, names fall into several pieces."""

from __future__ import annotations

from itertools import islice

from tokenizers import Regex, Tokenizer, decoders, models, pre_tokenizers, processors, trainers
from transformers import PreTrainedTokenizerFast

from palimpsest.tasks.pocket.text import training_sentences
from palimpsest.tasks.pocket.world import World

BEGIN, END = "<|begin|>", "<|end|>"
VOCABULARY = 2048
_SENTENCES = 60_000


def build_tokenizer(world: World, *, begin: bool) -> PreTrainedTokenizerFast:
    """Learn the vocabulary from the training text.

    Args:
        world: Whose text to learn from.
        begin: Whether every text starts with the ``BEGIN`` token (as Llama's do) or not (as GPT-2's).
    """
    tokenizer = Tokenizer(models.BPE())
    tokenizer.pre_tokenizer = pre_tokenizers.Sequence(
        [
            pre_tokenizers.ByteLevel(add_prefix_space=True),
            pre_tokenizers.Split(Regex(r"Ġ?\d"), "isolated"),
        ]
    )
    tokenizer.decoder = decoders.ByteLevel()
    trainer = trainers.BpeTrainer(
        vocab_size=VOCABULARY,
        special_tokens=[BEGIN, END],
        initial_alphabet=pre_tokenizers.ByteLevel.alphabet(),
        show_progress=False,
    )
    tokenizer.train_from_iterator(islice(training_sentences(world, "vocabulary"), _SENTENCES), trainer)
    if begin:
        tokenizer.post_processor = processors.TemplateProcessing(
            single=f"{BEGIN} $A", pair=f"{BEGIN} $A {BEGIN} $B", special_tokens=[(BEGIN, 0)]
        )
    return PreTrainedTokenizerFast(
        tokenizer_object=tokenizer,
        bos_token=BEGIN if begin else END,
        eos_token=END,
        pad_token=END,
        padding_side="right",
        clean_up_tokenization_spaces=False,
    )
