"""The frame of the command line: help, start-up, errors and exit codes."""

import io
import json
import subprocess
import sys
from collections.abc import Sequence
from importlib import metadata
from pathlib import Path

import pytest
import typer
from packaging.requirements import Requirement

from palimpsest.cli import app, output
from palimpsest.harness.errors import ConfigError, EditorError, MissingResource, StoreError, UsageError
from palimpsest.harness.system.json_values import json_value
from tests.cli.helpers import cli

HEAVY = ("torch", "transformers", "lm_eval", "datasets", "pandas", "accelerate", "sklearn", "scipy")


@pytest.mark.parametrize("verb", app.VERBS)
def test_every_verb_helps(verb: str, capsys: pytest.CaptureFixture[str]) -> None:
    assert app.main([verb, "--help"]) == 0
    text = capsys.readouterr().out
    assert "Usage" in text
    assert "xample" in text or "Commands" in text


def test_help_lists_every_verb(capsys: pytest.CaptureFixture[str]) -> None:
    assert app.main(["--help"]) == 0
    text = capsys.readouterr().out
    assert all(f" {verb} " in text for verb in app.VERBS)


def test_the_list_of_verbs_says_what_each_verb_says_of_itself() -> None:
    top = typer.main.get_command(app.app)
    assert isinstance(top, app.Verbs)
    assert {verb: top.get_command(None, verb).help for verb in app.VERBS} == app.VERBS


def test_the_list_of_verbs_imports_no_verb(tmp_path: Path) -> None:
    program = (
        "import sys; from palimpsest.cli.app import main; main(['--help']);"
        "print([name for name in sys.modules if '.cli.verbs' in name or name == 'pydantic'], file=sys.stderr)"
    )
    done = subprocess.run([sys.executable, "-c", program], capture_output=True, text=True, cwd=tmp_path, check=True)
    assert done.stderr.splitlines()[-1] == "[]"


def test_imports_stand_at_the_top_of_each_file_unless_a_comment_says_why() -> None:
    """Imports inside functions and under TYPE_CHECKING count."""
    for path in sorted(Path(app.__file__).parent.rglob("*.py")):
        lines = path.read_text(encoding="utf-8").splitlines()
        for number, text in enumerate(lines):
            if text.startswith(" ") and text.lstrip().startswith(("import ", "from ")):
                above = next(line for line in reversed(lines[:number]) if "import" not in line and line.strip())
                assert above.lstrip().startswith("#") or above == "if TYPE_CHECKING:", f"{path}, line {number + 1}"


def loaded_after(commands: Sequence[Sequence[str]], names: Sequence[str], folder: Path) -> dict[str, list[str]]:
    """Command → which of these modules are loaded behind it, when one new process does all commands in their order."""
    program = (
        "import json, sys; from palimpsest.cli.app import main\n"
        "for words in json.loads(sys.argv[1]):\n"
        "    main(words)\n"
        "    found = [name for name in json.loads(sys.argv[2]) if name in sys.modules]\n"
        "    print('LOADED', json.dumps([' '.join(words), found]), file=sys.stderr)"
    )
    arguments = [sys.executable, "-c", program, json.dumps(commands), json.dumps(names)]
    done = subprocess.run(arguments, capture_output=True, text=True, cwd=folder, check=True)
    return dict(json.loads(line[7:]) for line in done.stderr.splitlines() if line.startswith("LOADED "))


def test_no_verb_loads_a_model_library_before_its_words_are_read(tmp_path: Path) -> None:
    commands = [(verb, "--help") for verb in app.VERBS]
    found = loaded_after(commands, ("torch", "transformers", "lm_eval"), tmp_path)
    assert found == {f"{verb} --help": [] for verb in app.VERBS}


def test_help_list_and_show_import_nothing_heavy(tmp_path: Path) -> None:
    commands = [
        *(
            ["--help"],
            ["run", "--help"],
            ["list", "models"],
            ["list", "metrics"],
            ["list", "runs"],
            ["list", "editors"],
        ),
        *(["list", "tasks"], ["list", "suites"], ["show", "nothing"]),
    ]
    assert loaded_after(commands, HEAVY, tmp_path) == {" ".join(words): [] for words in commands}


CLUSTERS = ("ray", "obstore", "submitit", "palimpsest.harness.fleet.conductor", "palimpsest.harness.fleet.ray_node",
            "palimpsest.harness.depot.store", "palimpsest.harness.depot.lease")  # fmt: skip


def test_nothing_of_clusters_and_depots_is_loaded_unless_a_flag_asks_for_it(tmp_path: Path) -> None:
    """They are installed here, so nothing but the code keeps them out."""
    small = "--model pocket-gpt2 --editor ft-l --task pocket-counterfact --edits 2 --batch-size 2 --checkpoints 2"
    commands = [
        *([verb, "--help"] for verb in app.VERBS),
        ["doctor"],
        ["run", *small.split(), "--abilities", "none", "--sample", "2", "--quiet"],
        ["plan", "smoke", "--no-calibration"],
        ["claims", "--dry-run"],
        ["fleet"],
        ["show", "nothing"],
    ]
    assert loaded_after(commands, CLUSTERS, tmp_path) == {" ".join(words): [] for words in commands}


def test_clusters_and_depots_are_extras_that_a_plain_installation_lacks() -> None:
    needed = [Requirement(text) for text in metadata.requires("palimpsest-bench") or ()]
    plain = {one.name for one in needed if one.marker is None or one.marker.evaluate({"extra": ""})}
    assert plain and not {"ray", "obstore", "submitit"} & plain
    assert {"ray", "obstore"} <= {one.name for one in needed}


def test_version(capsys: pytest.CaptureFixture[str]) -> None:
    assert app.main(["--version"]) == 0
    assert capsys.readouterr().out.startswith("palimpsest 0.")


def test_no_arguments_shows_the_help(capsys: pytest.CaptureFixture[str]) -> None:
    assert app.main([]) in (0, 2)
    assert "Usage" in "".join(capsys.readouterr())


@pytest.mark.parametrize(
    ("arguments", "complaint"),
    [
        (["lst"], "Command 'lst' is not known. Did you mean 'list'"),
        (["list", "editor"], "Kind of list 'editor' is not known. Did you mean 'editors'"),
        (["list"], "Missing argument"),
        (["run", "--edits", "1OO"], 'expected a whole number, got "1OO"'),
        (["run", "--seed", "1", "--seed", "x"], 'expected a whole number, got "x"'),
        (["run", "--wrong"], "No such option"),
        (["run", "--suite", "pockets"], "Suite 'pockets' is not known. Did you mean 'pocket'"),
        (["show", "abc"], "There are no runs in"),
        (["check", "memit("], "expected the name of an editor at character 7"),
        (["export", "abc", "out"], "--edits"),
    ],
)
def test_wrong_use_ends_with_2_and_without_traceback(arguments: list[str], complaint: str, tmp_path: Path) -> None:
    code, out, err = cli(*arguments, home=tmp_path)
    assert code == 2
    assert out == ""
    assert complaint in " ".join(err.split())
    assert "Traceback" not in err


@pytest.mark.parametrize(
    ("error", "code"),
    [
        (UsageError("wrong"), 2),
        (ConfigError("wrong"), 2),
        (MissingResource("wrong"), 4),
        (StoreError("wrong"), 4),
        (EditorError("wrong"), 1),
        (KeyboardInterrupt(), 130),
    ],
)
def test_our_errors_are_messages_with_their_exit_code(
    error: BaseException, code: int, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    _break_list(monkeypatch, error)
    assert app.main(["list", "runs"]) == code
    err = capsys.readouterr().err
    assert "Traceback" not in err
    assert err.strip() in ("wrong", "Interrupted.", "")


def test_debug_shows_the_traceback_wherever_it_stands(
    monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    _break_list(monkeypatch, ConfigError("wrong"))
    for arguments in (["--debug", "list", "runs"], ["list", "--debug", "runs"], ["list", "runs", "--debug"]):
        assert app.main(arguments) == 2
        assert "Traceback" in capsys.readouterr().err
    monkeypatch.setenv("PALIMPSEST_DEBUG", "1")
    app.main(["list", "runs"])
    assert "Traceback" in capsys.readouterr().err


def test_a_bug_says_so_and_keeps_its_traceback(
    monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str], tmp_path: Path
) -> None:
    monkeypatch.setattr("tempfile.tempdir", str(tmp_path))
    _break_list(monkeypatch, ZeroDivisionError("division by zero"))
    assert app.main(["list", "runs"]) == 1
    err = capsys.readouterr().err
    assert "This is a bug in Palimpsest, not a mistake of yours: ZeroDivisionError: division by zero" in err
    assert "Traceback" not in err
    (kept,) = tmp_path.glob("palimpsest-error-*.txt")
    assert str(kept) in err
    assert "ZeroDivisionError" in kept.read_text()
    assert app.main(["list", "runs", "--debug"]) == 1
    assert "Traceback" in capsys.readouterr().err


def test_a_reader_that_leaves_early_is_no_error(tmp_path: Path) -> None:
    program = "import sys; from palimpsest.cli.app import main; sys.exit(main(['list', 'metrics']))"
    process = subprocess.Popen(
        [sys.executable, "-c", program], stdout=subprocess.PIPE, stderr=subprocess.PIPE, cwd=tmp_path
    )
    assert process.stdout is not None
    assert process.stderr is not None
    process.stdout.close()
    err = process.stderr.read()
    process.stderr.close()
    assert process.wait() == 0
    assert err == b""


def test_output_cannot_take_over_the_terminal(capsys: pytest.CaptureFixture[str]) -> None:
    output.line("a\x1b[31mb\u202ec\nd\x07")
    output.table(["name", "count"], [["x\x1b]0;title\x07", 1], ["日本", 20]])
    text = capsys.readouterr().out
    assert text.splitlines()[0] == "a[31mbc d"
    assert "\x1b" not in text
    assert text.splitlines()[1:] == ["name       count", "x]0;title      1", "日本          20"]


def test_a_table_in_a_pipe_is_plain_and_neither_cut_nor_wrapped(capsys: pytest.CaptureFixture[str]) -> None:
    long = "[red]word[/red] :smile: " * 60
    output.table(["name", "what", "last"], [["a", long, "x"], ["b", None, True]])
    first, second, third = capsys.readouterr().out.splitlines()
    assert first == f"name  what{' ' * (len(long) - 4)}  last"
    assert second == f"a     {long}  x"
    assert third.split() == ["b", "–", "yes"]


def test_a_table_on_a_terminal_fits_the_window(monkeypatch: pytest.MonkeyPatch) -> None:
    class Terminal(io.StringIO):
        def isatty(self) -> bool:
            return True

    monkeypatch.setenv("COLUMNS", "40")
    monkeypatch.setenv("TERM", "xterm")
    monkeypatch.delenv("NO_COLOR", raising=False)
    shown = {}
    for color in ("yes", "no"):
        monkeypatch.setattr(sys, "stdout", Terminal())
        output.table(["name", "what"], [["ft-l", "many words " * 9]])
        shown[color] = sys.stdout.getvalue()  # type: ignore[attr-defined]
        monkeypatch.setenv("NO_COLOR", "1")
    lines = shown["no"].splitlines()
    assert len(lines) > 2 and max(map(len, lines)) <= 40
    assert shown["no"].count("many") == 9
    assert "\x1b[1m" in shown["yes"] and "\x1b" not in shown["no"]


def test_output_survives_a_narrow_encoding(monkeypatch: pytest.MonkeyPatch) -> None:
    raw = io.BytesIO()
    monkeypatch.setattr(sys, "stdout", io.TextIOWrapper(raw, encoding="ascii"))
    output.line("ä – ok")
    output.flush()
    assert raw.getvalue() == b"? ? ok\n"


def test_values_in_cells_and_json() -> None:
    cells = [output.cell(value) for value in (None, True, 3, 12345.678, 0.0012, "x")]
    assert cells == ["–", "yes", "3", "12 345.68", "0.0012", "x"]
    assert json_value({"a": float("nan"), "b": (1, Path("x")), "c": {2, 1}}) == {
        "a": None,
        "b": [1, "x"],
        "c": [1, 2],
    }
    assert [output.duration(value) for value in (None, 40, 200, 7800)] == ["–", "40 s", "3 min", "2 h 10 min"]


def _break_list(monkeypatch: pytest.MonkeyPatch, error: BaseException) -> None:
    def broken(*_: object) -> None:
        raise error

    monkeypatch.setattr("palimpsest.cli.verbs.list.list_runs", broken)
