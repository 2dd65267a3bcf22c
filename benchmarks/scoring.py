"""Batched scoring against one sequence at a time: same outcomes, both timings and their ratio, in one run.

    python benchmarks/scoring.py [--cases 500] [--loop-cases 50] [--model FOLDER] [--threads 1]

Without ``--model`` a random Llama of hidden 256, MLP 1536, 6 layers, 8 heads (4 for keys and values), vocabulary 2048.
The loop is timed on fewer cases and scaled up; on those cases both must agree.
"""

from __future__ import annotations

import argparse
import random
import time
from collections.abc import Callable
from pathlib import Path
from typing import Any

import torch

from palimpsest.harness.metrics.probes import ProbeOutcome
from palimpsest.harness.model.editable import EditableModel
from palimpsest.harness.scoring.probes import score_cases
from palimpsest.harness.specs.cases import Case, EditRequest, Probe

TOKENIZER = Path(__file__).parent.parent / "tests" / "golden" / "llama-small" / "model"
SYLLABLES = ("tro", "kle", "vu", "dia", "quo", "sta", "bri", "mou", "than", "ge")
TEMPLATES = (
    "{} plays the sport of",
    "The sport of {} is",
    "{} was born in",
    "The birthplace of {} is",
    "{} works for",
    "It is said that {} works for",
)


def random_llama() -> EditableModel:
    from transformers import AutoTokenizer, LlamaConfig, LlamaForCausalLM

    torch.manual_seed(0)
    config = LlamaConfig(
        hidden_size=256,
        intermediate_size=1536,
        num_hidden_layers=6,
        num_attention_heads=8,
        num_key_value_heads=4,
        vocab_size=2048,
        max_position_embeddings=256,
    )
    tokenizer = AutoTokenizer.from_pretrained(TOKENIZER)
    return EditableModel(LlamaForCausalLM(config), tokenizer, name="random Llama", fingerprint="")


def make_cases(count: int) -> list[Case]:
    """Cases of 1 rewrite, 4 paraphrase (two behind a sentence) and 6 neighborhood prompts, two targets each."""
    rng = random.Random(0)

    def word(pieces: int) -> str:
        return "".join(rng.choice(SYLLABLES) for _ in range(pieces)).capitalize()

    people = [f"{word(2)} {word(2)}" for _ in range(4 * count)]
    objects = [word(rng.choice((1, 1, 2))) for _ in range(60)]
    cases = []
    for number in range(count):
        subject, kind, (new, true) = people[number], number % 6, rng.sample(objects, 2)
        probes = [Probe("rewrite", 0, TEMPLATES[kind].format(subject), new, true)]
        for index in range(4):
            before = f"{rng.choice(people)} went home. " if index > 1 else ""
            prompt = before + TEMPLATES[(kind + index) % 6].format(subject)
            probes.append(Probe("paraphrase", index, prompt, new, true))
        for index in range(6):
            other = rng.choice(people[count:])
            probes.append(Probe("neighborhood", index, TEMPLATES[(kind + index) % 6].format(other), new, true))
        cases.append(Case(EditRequest(number, TEMPLATES[kind], subject, new, true), tuple(probes)))
    return cases


def one_at_a_time(model: Any, cases: list[Case]) -> list[tuple[float, int]]:
    """(NLL per token, hits) of the new, then the true target of each probe, one forward pass for each."""
    found = []
    with torch.no_grad():
        for probe in [probe for case in cases for probe in case.probes]:
            for target in (probe.target_new, probe.target_true):
                before = model.tokenizer(probe.prompt)["input_ids"]
                after = torch.tensor(model.tokenizer(" " + target, add_special_tokens=False)["input_ids"])
                ids = torch.cat([torch.tensor(before), after])[None]
                logits = model.model(input_ids=ids).logits[0, len(before) - 1 : -1]
                nll = -logits.log_softmax(-1)[range(len(after)), after].mean()
                found.append((float(nll), int((logits.argmax(-1) == after).sum())))
    return found


def largest_difference(outcomes: list[ProbeOutcome], loop: list[tuple[float, int]]) -> float:
    """Largest difference of an NLL; `SystemExit` where first choices differ."""
    flat = [pair for o in outcomes for pair in ((o.nll_new, o.hits_new), (o.nll_true, o.hits_true))]
    if [hits for _, hits in flat] != [hits for _, hits in loop]:
        raise SystemExit("The two ways disagree on first choices.")
    return max(abs(one - other) for (one, _), (other, _) in zip(flat, loop, strict=True))


def best_of(times: int, what: Callable[[], object]) -> tuple[float, float]:
    """Fewest wall and fewest processor seconds."""
    walls, processor = [], []
    for _ in range(times):
        begin, cpu = time.perf_counter(), time.process_time()
        what()
        walls.append(time.perf_counter() - begin)
        processor.append(time.process_time() - cpu)
    return min(walls), min(processor)


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--cases", type=int, default=500)
    parser.add_argument("--loop-cases", type=int, default=50)
    parser.add_argument("--model", type=Path, default=None)
    parser.add_argument("--threads", type=int, default=1)
    options = parser.parse_args()
    torch.set_num_threads(options.threads)
    if options.model is None:
        model = random_llama()
    else:
        from palimpsest.harness.model.loading import load_model

        model = load_model(str(options.model), name=options.model.name)
    cases = make_cases(options.cases)
    few = cases[: options.loop_cases]
    score_cases(model, few[:2])
    one_at_a_time(model, few[:1])

    batched, batched_cpu = best_of(3, lambda: score_cases(model, cases))
    begin, cpu = time.perf_counter(), time.process_time()
    loop = one_at_a_time(model, few)
    scale = len(cases) / len(few)
    plain, plain_cpu = scale * (time.perf_counter() - begin), scale * (time.process_time() - cpu)
    each = 1000 * batched_cpu / len(cases)
    difference = largest_difference(score_cases(model, few), loop)

    print(f"{len(cases)} cases, {sum(len(c.probes) for c in cases)} probes, 2 targets each; {options.threads} threads")
    print(f"one sequence at a time  {plain:8.2f} s  ({plain_cpu:8.2f} s of CPU; from {len(few)} cases)")
    print(f"batched                 {batched:8.2f} s  ({batched_cpu:8.2f} s of CPU, best of 3; {each:.1f} ms a case)")
    print(f"ratio                   {plain / batched:8.1f}    ({plain_cpu / batched_cpu:.1f} in CPU time)")
    print(f"largest difference of an NLL on the same probes: {difference:.1e} nats")


if __name__ == "__main__":
    main()
