from __future__ import annotations

from pathlib import Path

from palimpsest.harness.system.source_digest import digest_of, files_below


def test_names_and_contents_count_and_caches_do_not(tmp_path: Path) -> None:
    (tmp_path / "a").mkdir()
    (tmp_path / "a" / "one.py").write_text("1")
    before = digest_of(files_below(tmp_path), tmp_path)
    (tmp_path / "a" / "__pycache__").mkdir()
    (tmp_path / "a" / "__pycache__" / "one.pyc").write_text("x")
    assert digest_of(files_below(tmp_path), tmp_path) == before
    (tmp_path / "a" / "one.py").rename(tmp_path / "a" / "two.py")
    renamed = digest_of(files_below(tmp_path), tmp_path)
    (tmp_path / "a" / "two.py").write_text("2")
    assert len({before, renamed, digest_of(files_below(tmp_path), tmp_path)}) == 3
    assert files_below(tmp_path / "a" / "two.py") == [tmp_path / "a" / "two.py"]
