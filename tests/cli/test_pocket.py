"""`palimpsest pocket` refuses before it works what it would refuse in the end."""

from pathlib import Path

import pytest

from palimpsest.cli.app import main
from palimpsest.tasks.pocket import publish


def test_a_model_is_not_trained_for_a_folder_that_cannot_be_written(
    tmp_path: Path, capsys: pytest.CaptureFixture[str], monkeypatch: pytest.MonkeyPatch
) -> None:
    (tmp_path / "file").write_text("")
    monkeypatch.setattr(publish, "train_and_publish", lambda *_: pytest.fail("it was trained"))
    for out, said in ((tmp_path / "file" / "x", "is a file"), (Path("/proc/none"), "nothing can be written in /proc")):
        assert main(["pocket", "train", "pocket-gpt2", "--out", str(out), "--home", str(tmp_path)]) == 2
        assert f"--out {out}: " in (told := capsys.readouterr().err) and said in told
