"""Which bundles a request changes, in a real repository; and what its editors are called for pip."""

from __future__ import annotations

import json
import subprocess
from pathlib import Path

import pytest

from palimpsest.cli.verbs.submit import _warn_of_unpublished
from palimpsest.harness.errors import ConfigError, UsageError
from palimpsest.results.submissions.bundle import MANIFEST, Manifest, Source
from palimpsest.results.submissions.changes import changed_bundles, requirement_lines
from palimpsest.results.submissions.editor_sources import EditorSource
from palimpsest.results.submissions.origins import Origin, origin_of
from tests.cli.helpers import cli

SUBMISSIONS = Path("results/submissions")
NAME = "0123456789ab"


def git(*arguments: str) -> None:
    identity = ("-c", "user.name=t", "-c", "user.email=t@example.org", "-c", "commit.gpgsign=false")
    subprocess.run(["git", *identity, *arguments], check=True, capture_output=True)


def commit(**files: str) -> None:
    for name, text in files.items():
        path = Path(name.replace("__", "/"))
        path.parent.mkdir(parents=True, exist_ok=True)
        path.write_text(text)
    git("add", "--all")
    git("commit", "--quiet", "--message", "change")


@pytest.fixture
def repository(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    monkeypatch.chdir(tmp_path)
    git("init", "--quiet", "--initial-branch", "main")
    commit(**{"README": "r", f"results__submissions__{'b' * 12}__bundle.json": "{}"})
    git("checkout", "--quiet", "-b", "request")
    return tmp_path


def test_new_bundles_are_found_and_nothing_else_is_complained_about(repository: Path) -> None:
    commit(**{f"results__submissions__{NAME}__bundle.json": "{}", f"results__submissions__{NAME}__spec.json": "{}"})
    assert changed_bundles("main", SUBMISSIONS) == ([SUBMISSIONS / NAME], [])


def test_everything_else_that_changes_is_a_problem(repository: Path) -> None:
    (repository / SUBMISSIONS / ("b" * 12) / "bundle.json").unlink()
    commit(
        **{"README": "mine", "results__submissions__note.txt": "n", f"results__submissions__{NAME}__bundle.json": "{}"}
    )
    bundles, strange = changed_bundles("main", SUBMISSIONS)
    assert bundles == [SUBMISSIONS / NAME]
    assert {problem.path: problem.message.split(";")[0] for problem in strange} == {
        "README": "a submission adds bundles and changes nothing else",
        "results/submissions/note.txt": "is a file where only folders of bundles belong",
        f"results/submissions/{'b' * 12}": "is gone",
    }


def test_an_overwritten_bundle_is_noticed(repository: Path) -> None:
    """Also one of which nothing but a single new file is changed."""
    there = SUBMISSIONS / ("b" * 12)
    commit(**{f"results__submissions__{'b' * 12}__texts.parquet": "t"})
    bundles, strange = changed_bundles("main", SUBMISSIONS)
    assert bundles == [there]
    assert [(problem.path, problem.message.split(";")[0]) for problem in strange] == [
        (str(there), "was there before and is changed")
    ]


def test_what_main_did_meanwhile_is_not_the_request_s(repository: Path) -> None:
    git("checkout", "--quiet", "main")
    commit(other="o")
    git("checkout", "--quiet", "request")
    commit(**{f"results__submissions__{NAME}__bundle.json": "{}"})
    assert changed_bundles("main", SUBMISSIONS) == ([SUBMISSIONS / NAME], [])


@pytest.mark.parametrize("revision", ["--output=stolen", "nowhere", "main; ls", ""])
def test_only_revisions_are_given_to_git(repository: Path, revision: str) -> None:
    with pytest.raises(UsageError, match="--since"):
        changed_bundles(revision, SUBMISSIONS)
    assert not (repository / "stolen").exists()


def test_without_a_repository_it_says_so(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.chdir(tmp_path)
    monkeypatch.setenv("GIT_CEILING_DIRECTORIES", str(tmp_path.parent))
    with pytest.raises(UsageError, match="git does not tell"):
        changed_bundles("main", SUBMISSIONS)


def bundle(folder: Path, *sources: tuple[str, str, str], origin: Origin = "index") -> Path:
    editors = tuple(Source(name=n, distribution=d, version=v, sha256="0" * 64, origin=origin) for n, d, v in sources)
    manifest = Manifest(format=1, run=NAME, palimpsest_version="0.1.0", editors=editors, files={}, means=(), totals={})
    folder.mkdir()
    (folder / MANIFEST).write_text(json.dumps(manifest.model_dump()))
    return folder


def test_releases_of_others_are_named_once_and_ours_not(tmp_path: Path) -> None:
    one = bundle(tmp_path / "one", ("revive", "palimpsest-bench", "0.1.0"), ("mine", "my-editors", "1.0"))
    two = bundle(tmp_path / "two", ("mine", "my-editors", "1.0"), ("theirs", "their.editors", "2.0.post1+cpu"))
    assert list(requirement_lines([one, two])) == ["my-editors==1.0\n", "their.editors==2.0.post1+cpu\n"]


@pytest.mark.parametrize(
    ("distribution", "version"),
    [("--index-url=https://evil", "1"), ("a\nb", "1"), ("a", "1 --extra-index-url x"), ("a @ https://evil", "1")],
)
def test_a_name_that_pip_would_read_as_an_option_is_refused(tmp_path: Path, distribution: str, version: str) -> None:
    with pytest.raises(ConfigError, match="is no release of a package"):
        list(requirement_lines([bundle(tmp_path / "one", ("x", distribution, version))]))


@pytest.mark.parametrize("origin", ["editable", "address", "unknown"])
def test_a_package_that_came_from_no_index_is_never_named_to_pip(tmp_path: Path, origin: Origin) -> None:
    """A stranger may have put another package under its name on the index."""
    with pytest.raises(ConfigError, match="may be somebody else's"):
        list(requirement_lines([bundle(tmp_path / "one", ("mine", "my-editors", "1.0"), origin=origin)]))


@pytest.mark.parametrize(
    ("record", "origin"),
    [
        (None, "index"),
        ({"url": "file:///x", "dir_info": {"editable": True}}, "editable"),
        ({"url": "file:///x", "dir_info": {}}, "address"),
        ({"url": "https://x/y.git", "vcs_info": {"vcs": "git"}}, "address"),
        ([], "unknown"),
    ],
)
def test_where_a_package_came_from_is_read_from_the_installer_s_record(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, record: object, origin: str
) -> None:
    info = tmp_path / "my_editors-1.0.dist-info"
    info.mkdir()
    (info / "METADATA").write_text("Metadata-Version: 2.1\nName: my-editors\nVersion: 1.0\n")
    if record is not None:
        (info / "direct_url.json").write_text(json.dumps(record))
    monkeypatch.syspath_prepend(tmp_path)
    assert origin_of("my-editors") == origin
    assert origin_of("nowhere-to-be-found") == "unknown"


@pytest.mark.parametrize(
    ("origin", "version", "words"),
    [
        ("editable", "1.0", "is installed in editable mode"),
        ("address", "1.0", "not from a package index"),
        ("unknown", "1.0", "no record"),
        ("index", "1.0+dirty", "local version"),
        ("index", "1.0", ""),
    ],
)
def test_submit_warns_of_an_editor_that_nobody_else_can_install(
    capsys: pytest.CaptureFixture[str], monkeypatch: pytest.MonkeyPatch, origin: Origin, version: str, words: str
) -> None:
    monkeypatch.setattr("palimpsest.cli.verbs.submit.origin_of", lambda _: origin)
    _warn_of_unpublished(EditorSource("mine", "my-editors", version, "0" * 64))
    told = capsys.readouterr().err
    assert words in told and bool(told) == bool(words)
    _warn_of_unpublished(EditorSource("memit", "palimpsest-bench", "0.1.0", "0" * 64))
    assert not capsys.readouterr().err


def test_a_branch_of_the_maintainers_may_change_other_files_but_no_bundle_that_was_there(repository: Path) -> None:
    more = {"README": "mine", "results__ledger.jsonl": "{}", "results__submissions__bundle.py": "code"}
    commit(**more, **{f"results__submissions__{NAME}__bundle.json": "{}"})
    assert len(changed_bundles("main", SUBMISSIONS)[1]) == len(more)
    assert changed_bundles("main", SUBMISSIONS, other_files=True) == ([SUBMISSIONS / NAME], [])
    commit(**{f"results__submissions__{'b' * 12}__texts.parquet": "t"})
    _, strange = changed_bundles("main", SUBMISSIONS, other_files=True)
    assert [problem.message.split(";")[0] for problem in strange] == ["was there before and is changed"]


def test_a_line_of_the_ledger_makes_a_request_red_and_a_branch_of_the_maintainers_not(repository: Path) -> None:
    commit(**{"results__ledger.jsonl": "{}"})
    code, out, _ = cli("verify", "--since", "main")
    assert code == 1 and "results/ledger.jsonl: a submission adds bundles and changes nothing else" in out
    code, _, err = cli("verify", "--since", "main", "--other-files")
    assert code == 0 and "No bundle changed since main." in err
    code, _, err = cli("verify", "somewhere", "--other-files")
    assert code == 2 and "--other-files goes with --since" in err
