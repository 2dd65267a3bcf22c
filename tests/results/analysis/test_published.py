"""Published numbers: every row has a source and a form, and none stands beside a metric of another form."""

from pathlib import Path

import pytest

from palimpsest.harness.errors import ConfigError
from palimpsest.harness.metrics.probes import METRICS
from palimpsest.results.analysis.published import COLUMNS, load_published

GOOD = (
    "2410.02355,Table 1,primary,gpt2-xl,GPT2-XL,counterfact,2000,100,file,memit,MEMIT,"
    "efficacy_preference,preference,all,94.70,"
)


def test_every_number_has_a_source_and_a_metric_of_its_form() -> None:
    numbers = load_published()
    assert len(numbers) > 500
    known = {metric.name: metric.kind for metric in METRICS}
    kinds = {"preference": "preference", "argmax": "argmax", "token": "argmax"}
    for number in numbers:
        assert number.arxiv or "repository" in number.table
        if number.form in kinds:
            assert known[number.metric] == kinds[number.form]
        assert (number.form == "token") <= (number.task == "zsre")


def test_fluency_of_models_with_a_begin_of_text_token_stands_beside_the_form_that_keeps_it() -> None:
    """Published code leaves the token in the text; GPT models have none, and one fluency."""
    found: dict[str, set[str]] = {}
    for number in load_published():
        if number.metric.startswith("fluency"):
            found.setdefault(number.metric, set()).add(number.model)
    assert found == {
        "fluency": {"gpt2-xl", "gpt-j-6b"},
        "fluency_special_tokens": {"llama3-8b", "llama3-8b-instruct", "gemma-7b"},
    }


@pytest.mark.parametrize(
    ("model", "task", "editor", "edits", "metric", "value"),
    [
        ("llama3-8b-instruct", "counterfact", "alphaedit", 2000, "efficacy_preference", 98.90),
        ("llama3-8b-instruct", "zsre", "memit", 2000, "paraphrase_token_accuracy", 31.28),
        ("gpt-j-6b", "zsre", "memit", 10000, "neighborhood_token_accuracy", 26.6),
        ("llama3-8b", "counterfact", "revive(alphaedit)", 10000, "efficacy_preference", 98.74),
        ("llama3-8b", "counterfact", "sphere(alphaedit)", 15000, "paraphrase_argmax", 32.07),
        ("qwen2.5-7b", "zsre", "nas", 19086, "efficacy_token_accuracy", 96.84),
    ],
)
def test_some_numbers_of_the_papers(model: str, task: str, editor: str, edits: int, metric: str, value: float) -> None:
    wanted = (model, task, editor, edits, metric)
    assert value in [n.value for n in load_published() if (n.model, n.task, n.editor, n.edits, n.metric) == wanted]


def test_quoted_numbers_say_so() -> None:
    by = {number.evidence: number.source for number in load_published()}
    assert by["secondary"].endswith("(quoted)") and by["primary"].startswith("arXiv ")


@pytest.mark.parametrize(
    ("old", "new", "complaint"),
    [
        ("2410.02355", "2410", "arxiv: expected a number"),
        ("primary", "heard", "evidence: expected primary or secondary"),
        ("preference,all", "argmax,all", "is not of the form argmax"),
        ("preference,all", "generation,all", "form: 'efficacy_preference' is not generation"),
        ("preference,all", "other,all", "form: expected one of"),
        ("94.70", "nan", "value: expected a number"),
        ("94.70", "947", "expected percent"),
        ("2000", "2,000", "expected 16 values, got 17"),
        ("2000", "-1", "edits: expected a whole number"),
        ("counterfact", "cf", "task: expected counterfact or zsre"),
        ("GPT2-XL,counterfact", "GPT2-XL,counterfact,x", "expected 16 values"),
        (",memit,", ",,", "editor: expected a short plain text"),
    ],
)
def test_rows_that_are_wrong_are_named_by_line(tmp_path: Path, old: str, new: str, complaint: str) -> None:
    path = tmp_path / "paper.csv"
    path.write_text(f"{','.join(COLUMNS)}\n{GOOD}\n{GOOD.replace(old, new)}\n")
    with pytest.raises(ConfigError) as caught:
        load_published(tmp_path)
    assert f"{path}, line 3" in str(caught.value) and complaint in str(caught.value)


def test_a_number_stands_once(tmp_path: Path) -> None:
    (tmp_path / "paper.csv").write_text(f"{','.join(COLUMNS)}\n{GOOD}\n{GOOD.replace('94.70', '94.80')}\n")
    with pytest.raises(ConfigError, match=r"line 3: the same number stands in .*line 2"):
        load_published(tmp_path)
    (tmp_path / "paper.csv").write_text("a,b\n")
    with pytest.raises(ConfigError, match="line 1: expected the columns"):
        load_published(tmp_path)
