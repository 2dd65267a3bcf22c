from __future__ import annotations

from pathlib import Path

import pytest

from palimpsest.harness.system.public_text import public


@pytest.fixture(autouse=True)
def machine(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("HOME", "/home/ada")
    for name in ("USER", "LOGNAME", "USERNAME"):
        monkeypatch.setenv(name, "ada")
    monkeypatch.setenv("HF_TOKEN", "hf_canary")
    monkeypatch.setenv("STORE", "postgres://ada:canary@example.org/x")
    monkeypatch.setenv("ANYTHING", "a1b2c3d4e5f6a7b8c9d0e1f2")
    monkeypatch.setenv("AZURE", "Endpoint=https://x.example;AccountKey=canary/abc+def==;Suffix=x")
    monkeypatch.setenv("OTHER", "mysql://me:canary-of-ada@example.org/x")
    monkeypatch.setenv("CHAT", "https://hooks.example.org/services/T0/B0/canary0123456789abcd")
    monkeypatch.setenv("AZURE_STORAGE_ACCOUNT_KEY", "canary/of+storage==")
    monkeypatch.setenv("AZURE_STORAGE_SAS_KEY", "sv=1&sig=canary/x")
    monkeypatch.setenv("THREADS", "16")
    monkeypatch.setenv("FOLDER", "/data/models/llama-3-8b-instruct")


@pytest.mark.parametrize(
    ("private", "expected"),
    [
        ("--home /home/ada/.palimpsest --edits 16", "--home ~/.palimpsest --edits 16"),
        ("--home=/home/ada", "--home=~"),
        ("file:///home/ada/x", "file://~/x"),
        ("'/home/ada/a b/c'", "~/'a b/c'"),
        ("/srv/home/adam/x and /home/ada-2/x", "/srv/home/adam/x and /home/ada-2/x"),
        ("/scratch/ada/runs, ada says", "/scratch/USER/runs, ada says"),
        ("bad key hf_canary!", "bad key $HF_TOKEN!"),
        ("connect to postgres://ada:canary@example.org/x failed", "connect to $STORE failed"),
        ("the key canary/abc+def== is refused", "the key $AZURE is refused"),
        ("its password is canary-of-ada", "its password is $OTHER"),
        ("POST canary0123456789abcd", "POST $CHAT"),
        ("signed by canary/of+storage==", "signed by $AZURE_STORAGE_ACCOUNT_KEY"),
        ("GET /c?sv=1&sig=canary/x", "GET /c?$AZURE_STORAGE_SAS_KEY"),
        ("{'ANYTHING': 'a1b2c3d4e5f6a7b8c9d0e1f2'}", "{'ANYTHING': '$ANYTHING'}"),
        ("/data/models/llama-3-8b-instruct has 16 layers", "/data/models/llama-3-8b-instruct has 16 layers"),
    ],
)
def test_values_of_the_environment_and_the_home_folder_go(private: str, expected: str) -> None:
    assert public(private) == expected


def test_on_a_terminal_a_path_stays_one_that_works() -> None:
    assert public("/scratch/ada/x in /home/ada", of_user=False) == "/scratch/ada/x in ~"


def test_a_home_that_is_a_link_goes_under_both_names(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    (tmp_path / "real").mkdir()
    (tmp_path / "link").symlink_to(tmp_path / "real")
    monkeypatch.setenv("HOME", str(tmp_path / "link"))
    assert public(f"{tmp_path}/link/x {tmp_path}/real/x") == "~/x ~/x"


def test_no_home_hides_nothing(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("HOME", "/")
    assert public("/usr/bin and /") == "/usr/bin and /"


def test_the_name_of_a_user_goes_where_no_variable_has_it(monkeypatch: pytest.MonkeyPatch) -> None:
    for name in ("USER", "LOGNAME", "LNAME", "USERNAME"):
        monkeypatch.delenv(name, raising=False)
    monkeypatch.setattr("pwd.getpwuid", lambda _: ["jdoecanary"])
    monkeypatch.setenv("SOMETHING", "else")  # replacements are remembered for each environment
    assert public("/scratch/jdoecanary/runs") == "/scratch/USER/runs"
