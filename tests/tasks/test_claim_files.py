"""Sets of claims: strict TOML, all problems together, and what ships."""

from __future__ import annotations

import math
from pathlib import Path

import pytest

from palimpsest.harness.errors import ConfigError, UsageError
from palimpsest.harness.metrics.diagnostic_definitions import record
from palimpsest.tasks.claim_files import ClaimSet, claim_set_names, load_claims
from palimpsest.tasks.claim_quantities import LAYERED, QUANTITIES, unit_of
from palimpsest.tasks.suite_files import load_suite

HEAD = """
description = "Some"
suite = "smoke"
seeds = [0, 1, 2]
level = 0.05
"""
ROWS = """
[[rows]]
name = "a"
editor = "memit"

[[rows]]
name = "b"
editor = "rect( memit )"
set = { kept_share = 0.4, host = { layers = [0] } }
setting = "published"
"""
CLAIM = """
[[claims]]
id = "one"
statement = "A holds more"
source = "2401.04700"
pairs = [["a", "b"]]
metric = "effective_edits"
edits = 20
direction = "higher"
test = "paired t, one-sided"
"""


def problems(tmp_path: Path, text: str) -> set[str]:
    path = tmp_path / "mine.toml"
    path.write_text(text, encoding="utf-8")
    with pytest.raises(ConfigError) as caught:
        load_claims(path)
    lines = str(caught.value).splitlines()
    assert all(line.startswith(f"{path}, ") for line in lines)
    return {line.removeprefix(f"{path}, ") for line in lines}


def load(tmp_path: Path, text: str) -> ClaimSet:
    path = tmp_path / "mine.toml"
    path.write_text(text, encoding="utf-8")
    return load_claims(path)


def test_a_set_says_everything_that_decides_a_claim(tmp_path: Path) -> None:
    found = load(tmp_path, HEAD + ROWS + CLAIM)
    assert (found.name, found.seeds, found.level) == ("mine", (0, 1, 2), 0.05)
    assert (found.claims[0].pairs, found.claims[0].side, found.claims[0].two_sided) == ((("a", "b"),), 1, False)
    assert found.rows[1].editor == "rect(memit)"
    assert found.rows[1].choice.set == {"kept_share": 0.4, "host": {"layers": [0]}}


def test_the_suite_of_the_rows_differs_in_editors_and_seeds_alone(tmp_path: Path) -> None:
    ours, base = load(tmp_path, HEAD + ROWS + CLAIM).suite_of_rows(), load_suite("smoke")
    assert [choice.name for choice in ours.editors] == ["memit", "rect(memit)"] and ours.seeds == (0, 1, 2)
    same = {"editors", "seeds"}
    assert ours.model_dump(exclude=same) == base.model_dump(exclude=same)


def test_wrong_fields_and_types_are_told_together_with_file_and_field(tmp_path: Path) -> None:
    text = HEAD.replace("0.05", "0.5").replace("[0, 1, 2]", "[0, 1]") + ROWS.replace("sett", "set")
    text = text.replace('name = "a"', 'name = "A row"').replace("rect( memit )", "rect(") + CLAIM.replace("2401.", "")
    text = text.replace('"higher"', '"more"').replace("one-sided", "three-sided") + 'sorce = "me"\n'
    assert problems(tmp_path, text) == {
        "seeds: expected at least 3 whole numbers of at least 0, none of them twice, got [0, 1].",
        "level: expected a number of at most 0.2, got 0.5.",
        'rows[0].name: expected a word of small letters, digits, dots and hyphens, got "A row".',
        "rows[1].editor: Editor 'rect(': expected the name of an editor at character 6, found the end. A filter stands "
        "around its host: revive(memit), revive(rect(memit)).",
        "rows[1].seting: is not a field; did you mean setting or set?",
        'claims[0].source: expected the number of a paper at arXiv, like 2210.07229, got "04700".',
        "claims[0].direction: expected 'higher' or 'lower', got \"more\".",
        "claims[0].test: expected 'paired t, two-sided' or 'paired t, one-sided', got \"paired t, three-sided\".",
        "claims[0].sorce: is not a field; did you mean source?",
    }


def test_names_that_lead_nowhere_are_told_with_the_near_ones(tmp_path: Path) -> None:
    text = HEAD + ROWS + CLAIM.replace('["a", "b"]', '["a", "bb"], ["b", "b"]').replace("effective_edits", "efective")
    assert problems(tmp_path, text.replace("edits = 20", "edits = 15")) == {
        'claims[0].metric: "efective" is nothing that a claim can be about; did you mean effective_edits?',
        "claims[0].edits: expected a checkpoint of the suite smoke, 10 or 20, got 15.",
        'claims[0].pairs[0][1]: "bb" is not among the rows; did you mean b?',
        'claims[0].pairs[1]: "b" is compared with itself; give two rows.',
    }
    assert problems(tmp_path, (HEAD + ROWS + CLAIM).replace("edits = 20", "edits = 10")) == {
        "claims[0].edits: expected the end of the suite smoke, 20, got 10."
    }
    (line,) = problems(tmp_path, HEAD.replace("smoke", "smok") + ROWS + CLAIM)
    assert line.startswith("suite: Suite 'smok' is not known. Did you mean 'smoke'")


def test_a_row_that_stands_twice_or_is_used_by_no_claim_is_a_mistake(tmp_path: Path) -> None:
    more = '\n[[rows]]\nname = "c"\neditor = "memit"\n'
    assert problems(tmp_path, HEAD + ROWS + more + CLAIM + CLAIM) == {
        'rows[2].name: no claim is about "c"; take the row out.',
        'rows[2]: is the same editor as the row "a"; keep one of them.',
        'claims: the id "one" stands twice; give each its own.',
    }


def test_a_set_without_claims_or_a_claim_without_rows_says_nothing(tmp_path: Path) -> None:
    assert problems(tmp_path, HEAD + "rows = []\nclaims = []\n") == {"claims: expected at least one claim."}
    lines = problems(tmp_path, HEAD + ROWS + CLAIM.replace('["a", "b"]', ""))
    assert "claims[0].pairs: expected at least one pair of rows, A and B." in lines


def test_rows_of_two_batch_sizes_are_no_pair(tmp_path: Path) -> None:
    text = HEAD + ROWS.replace('editor = "memit"', 'editor = "memit"\nbatch_size = 5') + CLAIM
    assert problems(tmp_path, text) == {
        "claims[0].pairs: rows in batches of 5 or 10 edits are no pair; compare rows of one batch size."
    }


def test_what_is_no_toml_and_what_is_not_there_is_told(tmp_path: Path) -> None:
    path = tmp_path / "mine.toml"
    path.write_text("description = \n")
    with pytest.raises(ConfigError, match=r"mine\.toml: not readable as TOML: .*line 1"):
        load_claims(path)
    with pytest.raises(ConfigError, match="there is no such file"):
        load_claims("yours.toml")
    with pytest.raises(UsageError, match="Did you mean 'pocket-llama'.*palimpsest list claims"):
        load_claims("pocket-lama")


def test_every_set_that_ships_loads_and_is_named_after_its_file() -> None:
    assert "pocket-llama" in claim_set_names()
    assert all(load_claims(name).name == name for name in claim_set_names())


def test_filters_are_asked_at_published_settings_and_at_tuned_ones() -> None:
    found = load_claims("pocket-llama")
    settings = {row.name: row.set for row in found.rows}
    assert found.seeds == (0, 1, 2, 3, 4)
    for name, values in {
        "rect": {"kept_share": 0.4},
        "prune": {"alpha": "e"},
        "sphere": {"eta": 0.5, "alpha": 0.5},
        "revive-memit": {"tau": 0.1},
        "revive-memit-seq": {"tau": 0.1},
        "revive-alphaedit": {"tau": 0.1},
    }.items():
        assert (settings[f"{name}-published"], settings[f"{name}-tuned"]) == (values, {})
    both = [claim.id for claim in found.claims if claim.id.endswith(("-published", "-tuned"))]
    assert {one.rpartition("-")[0] for one in both if one.endswith("-tuned")} == {
        one.rpartition("-")[0] for one in both if one.endswith("-published")
    }


def test_a_diagnostic_of_all_layers_is_a_sum_of_squares_to_which_an_untouched_layer_adds_nothing() -> None:
    assert LAYERED["total_update_norm"].total([3.0, 4.0]) == 5.0
    assert LAYERED["total_energy_change"].total([1.03, 0.96]) == pytest.approx(5.0)
    assert LAYERED["total_superimposed_noise"].total([250.0, -50.0]) == 200.0
    nothing = {"total_energy_change": 1.0}
    for name, one in LAYERED.items():
        assert one.total([0.7, nothing.get(name, 0.0)]) == pytest.approx(one.total([0.7]))
        assert one.total([0.2, 0.3, 0.1]) == one.total([0.1, 0.2, 0.3])
        assert math.isfinite(one.total([0.0]))


def test_every_quantity_is_one_that_is_stored() -> None:
    assert all(record(one.stored) is not None for one in LAYERED.values())
    assert {"effective_edits", "abilities_kept", "score_argmax", "efficacy_preference"} < set(QUANTITIES)
    assert {unit_of(name) for name in QUANTITIES} == {"edits", "%", "1"}
