"""Writing the text that key statistics of models of real text are taken from: what such a model says by itself.

    python -m palimpsest.tasks.realworld.write_text MODEL tasks/realworld/statistics.txt.gz [--tokens 120000]

Published statistics are of Wikipedia, which a machine without the hub does not have, and whose text is not ours to
ship. Text that a model samples has the words and the order that it learnt; it is nobody's sentence. Sampled numbers
depend on the machine, so the text is kept, and not made anew; one paragraph of foul words was taken out by hand.
"""

from __future__ import annotations

import argparse
import gzip
import re
from pathlib import Path

import torch
from transformers import AutoModelForCausalLM, AutoTokenizer

from palimpsest.harness.errors import UsageError
from palimpsest.harness.model.catalogue import located, resolve
from palimpsest.harness.system.atomic_files import atomic_write_bytes

BATCH = 40
LENGTH = 320
"""Tokens of one text."""
TOP_P = 0.95
_ADDRESS = re.compile(r"\S@\w+\.\w")
"""An address that might be somebody's; a text with one is left out."""
SEED = 0


def sampled(model: str, tokens: int, begin: str) -> list[str]:
    """Texts of that many tokens in all, each behind the token that parts documents; every one a paragraph.

    Raises:
        UsageError: The model has no such token.
    """
    folder = located(resolve(model)).folder
    tokenizer = AutoTokenizer.from_pretrained(folder)
    speaker = AutoModelForCausalLM.from_pretrained(folder, dtype=torch.float32).eval()
    start = tokenizer.convert_tokens_to_ids(begin)
    if start is None or (start == tokenizer.unk_token_id and begin != tokenizer.unk_token):
        raise UsageError(f"--begin {begin}: {model} has no such token.")
    torch.manual_seed(SEED)
    texts: list[str] = []
    count = 0
    while count < tokens:
        ids = torch.full((BATCH, 1), start)
        with torch.inference_mode():
            said = speaker.generate(
                ids, attention_mask=torch.ones_like(ids), do_sample=True, top_p=TOP_P, top_k=0, max_new_tokens=LENGTH,
                pad_token_id=start,
            )  # fmt: skip
        for row in said[:, 1:].tolist():
            whole = row[: row.index(start)] if start in row else row
            text = " ".join(tokenizer.decode(whole, skip_special_tokens=True).split())
            if text and not _ADDRESS.search(text):
                texts.append(text)
                count += len(whole)
        print(f"{count:,} of {tokens:,} tokens", flush=True)
    return texts


def main() -> None:
    """Write the text."""
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("model")
    parser.add_argument("out", type=Path)
    parser.add_argument("--tokens", type=int, default=120_000)
    parser.add_argument("--begin", default="<|endoftext|>", help="The token that parts documents.")
    given = parser.parse_args()
    text = "\n\n".join(sampled(given.model, given.tokens, given.begin)) + "\n"
    atomic_write_bytes(given.out, gzip.compress(text.encode(), mtime=0))


if __name__ == "__main__":
    main()
