"""The papers' own tasks: their prompts to the letter, both of their scores, degrees, and groups by name."""

from __future__ import annotations

from collections.abc import Mapping
from pathlib import Path
from typing import Any

import pytest
import torch

from palimpsest.harness.abilities.ability_harness import AbilityHarness
from palimpsest.harness.abilities.items import AbilityOutcome
from palimpsest.harness.errors import MissingResource, UsageError
from palimpsest.harness.model.editable import EditableModel
from palimpsest.tasks.ability_library import AbilityLibrary, ability_groups, local_tasks
from tests.labs.tiny_models import tiny_model
from tests.tasks.general.test_items import RECORDS, written

PROMPTS = {
    "published_sst2": "Review :a fine film \nSentiment :",
    "published_mrpc": "Are the sentences paraphrases of each other.\n"
    "Sentence 1: It rains. \nSentence 2: It is wet.\nAnswer:",
    "published_cola": "Is this sentence linguistically acceptable?\nSentence: He sleep.\nAnswer: ",
    "published_rte": "It rains. \nquestion: It is wet. True or False?\nanswer:",
    "published_mmlu": "Question: 1 + 1?\n(A) 1\n(B) 2\n(C) 3\n(D) \nAnswer:",
    "published_nli": "It rains.  entails the It is wet. True or False? Answer:",
    "published_sentiment": "For each snippet of text,label the sentiment of the text as positive or negative."
    "The answer should be exact 'positive' or 'negative'. text: dull answer:",
    "published_dialogue": "Q: Given the following: m : hi .\nWhich choice is correct?\n(A)a\n(B)b\n(C)c\n(D)d\nAnswer:",
    "published_reasoning": "Q: Two and two? A:Let's think step by step. 2+2=<<2+2=4>>4\n "
    "Therefore, the answer (arabic numerals) is:",
    "published_nli_rect": "It rains.  entails the It is wet.. True or False? answer:",
    "published_nli_sphere": "It rains.  entails It is wet.. True or False? answer:",
    "published_closed_qa_rect": "Please answer the given question based on the passage. The answer should be exact "
    "'yes' or 'no'. passage: Ice is cold. question: is ice warm. answer:",
    "published_closed_qa_sphere": "Please answer the given question based on the passage. The answer should be exact "
    "'yes' or 'no'. passage: Ice is cold. question: is ice warm. answer: ",
    "published_open_qa_prune": "Refer to the passage below and answer the following question. "
    "Passage: \n\nAnn was. Question: who was first?. Answer:",
    "published_open_qa_sphere": "Refer to the passage below and answer the following question.\n"
    "Passage: \n\nAnn was.\nQuestion: who was first?\nAnswer:",
    "published_sentiment_rect": "For each snippet of text,label the sentiment of the text as positive or negative."
    "The answer should be exact 'positive' or 'negative'. text: dull answer:",
    "published_dialogue_rect": "Q: m : hi . Which choice is correct? Answer Chioces: (A)a(B)b(C)c(D)d "
    "A: Among A through D, the answer is",
    "published_summarization": "A: Hi\r\nB: Hi\nTL;DR:",
}
TOKENS = {"nli_rect": 1, "nli_sphere": 1, "closed_qa_rect": 1, "closed_qa_sphere": 1, "sentiment_rect": 1}
TOKENS |= {"dialogue_rect": 1, "open_qa_prune": 20, "open_qa_sphere": 20, "summarization": 25}


@pytest.fixture
def data(tmp_path: Path) -> Path:
    """Twelve items of each form; the first ten are reserved by some tasks."""
    for file, record in RECORDS.items():
        written(tmp_path, file, [record] * 12)
    return tmp_path


@pytest.fixture(scope="module")
def model() -> EditableModel:
    return tiny_model("llama", max_position_embeddings=512)


def asked(model: EditableModel, data: Path, *names: str) -> AbilityHarness:
    library = AbilityLibrary([data])
    return AbilityHarness(model, library.refs(names, 1), library=library)


def arguments(harness: AbilityHarness, name: str) -> list[tuple[Any, ...]]:
    return [instance.args for task in harness._leaves[name] for instance in task.instances]


def by_name(harness: AbilityHarness) -> Mapping[str, AbilityOutcome]:
    return {outcome.name: outcome for outcome in harness.evaluate()}


def test_generated_tasks_ask_the_published_prompts_and_as_many_tokens(model: EditableModel, data: Path) -> None:
    harness = asked(model, data, *PROMPTS)
    for name, prompt in PROMPTS.items():
        ((text, how),) = arguments(harness, name)
        assert text == prompt
        assert how["max_gen_toks"] == TOKENS.get(name.removeprefix("published_"), 5), name
        assert how["until"] == [] and not how["do_sample"]
    for name, outcome in by_name(harness).items():
        free = {"published_summarization": "rouge", "published_open_qa_prune": "em", "published_open_qa_sphere": "em"}
        assert outcome.metric == free.get(name, "acc")
        has_labels = outcome.items[0].label is not None
        assert has_labels == (outcome.chance > 0) == (outcome.metric == "acc" and name != "published_reasoning")


def test_the_second_score_asks_the_same_prompt_of_each_word(model: EditableModel, data: Path) -> None:
    pairs = {name: f"{name}_likelihood" for name in PROMPTS if f"{name}_likelihood" in local_tasks()}
    assert len(pairs) == 8
    words = {"sst2": "negative positive", "mrpc": "No Yes", "cola": "No Yes", "rte": "False True", "mmlu": "A B C D"}
    words |= {"nli": "False True", "sentiment": "negative positive", "dialogue": "A B C D"}
    harness = asked(model, data, *pairs.values())
    for name, likelihood in pairs.items():
        expected = [f" {word}" for word in words[name.removeprefix("published_")].split()]
        assert arguments(harness, likelihood) == [(PROMPTS[name], word) for word in expected]


def test_the_second_score_compares_mean_log_likelihoods_of_a_token(tmp_path: Path) -> None:
    """Computed here by plain forward passes; the two words differ in their numbers of tokens."""
    model = tiny_model("llama", seed=1, max_position_embeddings=512)
    sentences = [f"{word} {number}" for word in ("chess", "a river in Oslo", "late rain") for number in range(14)]
    written(tmp_path, "rte", [{"sentence1": one, "sentence2": "It is.", "label": 0} for one in sentences])
    library = AbilityLibrary([tmp_path])
    refs = library.refs(["published_rte_likelihood"], None)
    (outcome,) = AbilityHarness(model, refs, library=library).evaluate()
    assert len(outcome.items) == 32
    sums_say_otherwise = 0
    for sentence, item in zip(sentences[10:], outcome.items, strict=True):
        prompt = f"{sentence}\nquestion: It is. True or False?\nanswer:"
        found = [of_each_token(model, prompt, f" {word}") for word in ("False", "True")]
        assert len(found[0]) != len(found[1])
        means = [sum(values) / len(values) for values in found]
        assert item.predicted == means.index(max(means))
        sums_say_otherwise += (sum(found[0]) > sum(found[1])) != (means[0] > means[1])
    assert sums_say_otherwise


def of_each_token(model: EditableModel, prompt: str, word: str) -> list[float]:
    start, row = len(model.tokenizer(prompt)["input_ids"]), model.tokenizer(prompt + word)["input_ids"]
    with torch.no_grad():
        logits = model.model(torch.tensor([row])).logits[0].log_softmax(-1)
    return [float(logits[i - 1, row[i]]) for i in range(start, len(row))]


def test_a_model_of_nan_answers_nothing_right_in_either_score(data: Path) -> None:
    model = tiny_model("llama", max_position_embeddings=512)
    harness = asked(model, data, "published_sst2_likelihood", "published_sst2", "published_summarization")
    model.add_update(1, torch.full_like(model.weight(1), float("nan")))
    assert {outcome.score for outcome in harness.evaluate()} == {0.0}
    assert by_name(harness)["published_sst2_likelihood"].items[0].predicted == -1


def test_the_published_suite_takes_a_hundred_items_behind_the_ten_reserved(tmp_path: Path) -> None:
    for file in ("sst2", "mrpc", "cola", "rte", "nli", "mmlu"):
        written(tmp_path, file, [RECORDS[file]] * 115)
    library = AbilityLibrary([tmp_path])
    refs = library.refs(["glue-published", "glue-published-likelihood"], None)
    assert len(refs) == 12 and {ref.limit for ref in refs} == {100}
    harness = AbilityHarness(tiny_model("llama", max_position_embeddings=512), refs[:1], library=library)
    assert harness.documents == {"published_sst2": 100}
    with pytest.raises(MissingResource, match="--ability-data DIR"):
        AbilityLibrary().refs(["glue-published"], None)


def test_general_tasks_in_lm_evals_form_run_over_local_files(model: EditableModel, data: Path) -> None:
    library = AbilityLibrary([data])
    refs = library.refs(["general"], 1)
    outcomes = {o.name: o for o in AbilityHarness(model, refs, library=library).evaluate()}
    assert {name: outcome.chance for name, outcome in outcomes.items()} == {
        "general_reasoning": 0.0,
        "general_closed_qa": 0.622,  # more answers are yes
        "general_open_qa": 0.0,
        "papers_nli": 0.5,
        "general_dialogue": 0.25,
    }
    ((prompt, _),) = arguments(asked(model, data, "general_reasoning"), "general_reasoning")
    assert prompt.count("Question: Two and two?\nAnswer: 2+2=<<2+2=4>>4\n#### 4\n\n") == 5
    assert prompt.endswith("\n\nQuestion: Two and two?\nAnswer:")


def test_small_models_are_asked_for_last_words_good_sentences_and_ways_to_a_goal(
    model: EditableModel, data: Path
) -> None:
    names = ("general_lambada", "general_blimp", "general_piqa", "general_arc_challenge")
    harness = asked(model, data, *names)
    found = {name: [one[:2] for one in arguments(harness, name)] for name in names}
    assert found["general_lambada"] == [('She sighed.\n\n"He closed the', " door")]
    assert [words for _, words in found["general_blimp"]] == [" He sleeps.", " He sleep."]
    ways = [("Question: open a jar\nAnswer:", " turn the lid "), ("Question: open a jar\nAnswer:", " turn the glass")]
    assert found["general_piqa"] == ways
    assert [words for _, words in found["general_arc_challenge"]] == [" iron", " air", " wax"]
    chances = {name: outcome.chance for name, outcome in by_name(harness).items()}
    assert chances == dict(zip(names, (0.0, 0.5, 0.5, 0.25), strict=True))


def test_answers_longer_than_a_short_context_are_cut_to_half_of_it(data: Path) -> None:
    model = tiny_model("gpt2")  # 128 positions, and answers of up to 256 tokens behind six worked problems
    written(data, "reasoning", [RECORDS["reasoning"] | {"question": "Two and two? " * 9}] * 12)
    (outcome,) = asked(model, data, "general_reasoning").evaluate()
    assert outcome.score == 0 and len(outcome.items) == 1


def test_without_data_the_general_group_is_lm_evals_own() -> None:
    assert [ref.name for ref in AbilityLibrary().refs(["general"], None)] == ["gsm8k", "boolq", "nq_open", "rte"]


def test_former_names_of_groups_are_told_and_never_taken_for_the_papers_form() -> None:
    for old, new in (("glue-papers", "glue-lm-eval"), ("glue-papers-generated", "glue-lm-eval-generated")):
        with pytest.raises(UsageError, match=f"{old} is called {new} now.*papers' own form is glue-published"):
            AbilityLibrary().refs([old], None)
    assert not [name for name in ability_groups() if "papers" in name]


def test_what_published_code_reads_is_part_of_a_tasks_identity(data: Path, tmp_path: Path) -> None:
    before = AbilityLibrary([data]).refs(["published_sst2", "published_rte"], None)
    written(data, "sst2", [RECORDS["sst2"]] * 13)
    after = AbilityLibrary([data]).refs(["published_sst2", "published_rte"], None)
    assert before[0].content_hash != after[0].content_hash and before[1] == after[1]
