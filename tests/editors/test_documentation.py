from __future__ import annotations

from pathlib import Path

from palimpsest.editors.alphaedit import AlphaEdit
from palimpsest.editors.ft_l import FineTuneBoxed
from palimpsest.editors.memit import Memit
from palimpsest.editors.memit_seq import MemitSeq

TEXT = (Path(__file__).parents[2] / "docs" / "editors.md").read_text(encoding="utf-8")


def test_every_setting_is_documented() -> None:
    for editor in (Memit, MemitSeq, AlphaEdit, FineTuneBoxed):
        for name, field in editor.Config.model_fields.items():
            assert f"`{name}`" in TEXT, f"docs/editors.md says nothing of {name}"
            assert field.description, f"{editor.__name__}.{name} has no description"
