from pathlib import Path

import pytest

from palimpsest.results.analysis.courses import SHARES
from palimpsest.results.store.database import Store
from palimpsest.results.store.ingest import ingest
from tests.labs.synthetic import SyntheticRun, write_run


def _store(tmp_path: Path, run: SyntheticRun) -> Store:
    write_run(tmp_path / "runs", run)
    store = Store.open(tmp_path / "store.duckdb")
    assert ingest(store, tmp_path / "runs").problems == []
    return store


@pytest.mark.parametrize("form", ["counterfact", "zsre"])
def test_courses_say_what_the_outcomes_say(tmp_path: Path, form: str) -> None:
    run = SyntheticRun(form=form, checkpoints=(0, 10, 20), batch_size=10, neighborhood=2)
    with _store(tmp_path, run) as store:
        courses = dict(store.rows("SELECT position, course FROM case_courses"))
        assert len(courses) == 20
        for edits, position, *outcome in store.rows(
            "SELECT edits, position, row_number() OVER (PARTITION BY edits, case_id ORDER BY kind = 'neighborhood',"
            " kind = 'paraphrase', index) - 1, exact_new, exact_true, nll_new < nll_true, nll_true < nll_new,"
            " hits_new + hits_true, tokens_new + tokens_true FROM case_scores"
        ):
            place, new, true, prefers, prefers_true, hits, tokens = outcome
            block = courses[position].split(" ")[(0, 10, 20).index(edits)].replace(".", "")
            if form == "zsre":
                assert SHARES.index(block[place]) == round(60 * hits / tokens)
            else:
                assert int(block[place], 16) == new + 2 * true + 4 * prefers + 8 * prefers_true


def test_a_case_that_is_not_scored_yet_has_an_empty_block(tmp_path: Path) -> None:
    run = SyntheticRun(checkpoints=(0, 10, 20), batch_size=10, neighborhood=2)
    with _store(tmp_path, run) as store:
        ((course,),) = store.rows("SELECT course FROM case_courses WHERE position = 15")
        before, none, end = course.split(" ")
        assert [len(part) for part in before.split(".")] == [len(part) for part in end.split(".")] == [1, 2, 2]
        assert none == ""


def test_runs_that_ask_the_same_share_the_hash_of_their_texts_and_seeds_their_row(tmp_path: Path) -> None:
    runs = [SyntheticRun(checkpoints=(0, 10), batch_size=10, seed=seed, editor=name) for name, seed in
            (("memit", 0), ("memit", 1), ("ft-l", 0))]  # fmt: skip
    for run in runs:
        write_run(tmp_path / "runs", run)
    with Store.open(tmp_path / "store.duckdb") as store:
        ingest(store, tmp_path / "runs")
        assert len(store.rows("SELECT DISTINCT texts_hash FROM runs")) == 1
        assert sorted(count for (count,) in store.rows("SELECT count(*) FROM runs GROUP BY row_id")) == [1, 2]
        assert {len(draws) for (draws,) in store.rows("SELECT draws FROM rank_draws")} == {1000}


def test_ability_courses_have_one_digit_per_item(tmp_path: Path) -> None:
    with _store(tmp_path, SyntheticRun(checkpoints=(0, 10), batch_size=10)) as store:
        right = store.rows("SELECT edits, ability, sum(correct::INT) FROM ability_items GROUP BY ALL ORDER BY ALL")
        packed = store.rows("SELECT edits, ability, items FROM ability_courses ORDER BY ALL")
        assert [(edits, ability, items.count("1")) for edits, ability, items in packed] == right
