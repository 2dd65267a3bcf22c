"""The breakers, installed as a distribution of their own for as long as these tests run."""

from __future__ import annotations

import importlib
import shutil
import sys
from collections.abc import Iterator
from pathlib import Path

import pytest

HERE = Path(__file__).parent
MODULES = ("breakers", "slow_breaker", "calling_breaker", "rude_breakers")
EDITORS = {
    "honest": "breakers:Honest",
    "writes-nothing": "breakers:WritesNothing",
    "c01-slow": "slow_breaker:Slow",
    "c01-calling": "calling_breaker:Calling",
    "c02": "breakers:Lenient",
    "c03": "breakers:OneAnatomy",
    "c04": "breakers:Backwards",
    "c05": "breakers:Trespasser",
    "c06": "breakers:Idle",
    "c07": "breakers:Dice",
    "c08": "breakers:Entangled",
    "c09": "breakers:Forgetful",
    "c10": "breakers:AfraidOfRestarts",
    "c11": "breakers:Secretive",
    "c12": "breakers:LeavesTheDoorOpen",
    "c13": "breakers:ChangesTheWorld",
    "c14": "breakers:NoEmptyBatches",
    "c15": "breakers:HalfDone",
    "c16": "breakers:FirstComeFirstServed",
    "c17": "breakers:Hoarder",
    "c18": "breakers:Peeping",
    "c18-walking": "breakers:Walking",
    "c18-reading": "breakers:Reading",
    "exits": "rude_breakers:Exits",
    "prints": "rude_breakers:Prints",
    "returns-nothing": "rude_breakers:ReturnsNothing",
    "raises": "rude_breakers:Raises",
}


@pytest.fixture(scope="session")
def home(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """Folder of caches that all checks share."""
    return tmp_path_factory.mktemp("home")


@pytest.fixture(scope="package", autouse=True)
def installed(tmp_path_factory: pytest.TempPathFactory) -> Iterator[None]:
    place = tmp_path_factory.mktemp("site-packages")
    for name in MODULES:
        shutil.copy(HERE / f"{name}.py", place)
    metadata = place / "palimpsest_breakers-0.1.dist-info"
    metadata.mkdir()
    (metadata / "METADATA").write_text("Metadata-Version: 2.1\nName: palimpsest-breakers\nVersion: 0.1\n")
    lines = "\n".join(f"{name} = {target}" for name, target in EDITORS.items())
    (metadata / "entry_points.txt").write_text(f"[palimpsest.editors]\n{lines}\n")
    sys.path.insert(0, str(place))
    importlib.invalidate_caches()
    yield
    sys.path.remove(str(place))
    for name in MODULES:
        sys.modules.pop(name, None)
    importlib.invalidate_caches()
