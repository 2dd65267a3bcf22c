"""`pytest tests/golden --golden-dir DIR`: which folders of recorded runs are replayed."""

from __future__ import annotations

from collections.abc import Callable
from pathlib import Path

import pytest

from tests.golden.recorded import Recording

SMALL = tuple(Path(__file__).parent / name for name in ("llama-small", "gpt2-small"))
CHOSEN = pytest.StashKey[tuple[Recording, ...]]()
RUNS_OF: dict[str, Callable[[Recording], list[str]]] = {
    "run": Recording.covered,
    "projected_run": lambda found: [run for run in found.covered() if found.editor(run) == "alphaedit"],
}
"""Name of a fixture → which of a folder's runs it stands for. Test modules add their own in a `RUNS_OF`."""


def pytest_addoption(parser: pytest.Parser) -> None:
    parser.addoption("--golden-dir", type=Path, default=None, help="folder of recorded runs (default: the small sets)")


def recordings(config: pytest.Config) -> tuple[Recording, ...]:
    if CHOSEN not in config.stash:
        chosen = config.getoption("golden_dir", default=None)
        if chosen is not None and not (chosen / "hparams.json").is_file():
            inside = ", ".join(str(path.parent) for path in sorted(chosen.glob("*/hparams.json"))) or "none inside it"
            raise pytest.UsageError(f"--golden-dir: {chosen} has no hparams.json. Folders of recorded runs: {inside}.")
        config.stash[CHOSEN] = tuple(Recording(folder) for folder in ((chosen,) if chosen else SMALL))
    return config.stash[CHOSEN]


def pytest_generate_tests(metafunc: pytest.Metafunc) -> None:
    if "golden" not in metafunc.fixturenames:
        return
    found = recordings(metafunc.config)
    kinds = RUNS_OF | getattr(metafunc.module, "RUNS_OF", {})
    name = next((name for name in kinds if name in metafunc.fixturenames), None)
    if name is None:
        metafunc.parametrize("golden", found, ids=[golden.folder.name for golden in found])
        return
    pairs = [(golden, run) for golden in found for run in kinds[name](golden)]
    metafunc.parametrize(("golden", name), pairs, ids=[f"{golden.folder.name}-{run}" for golden, run in pairs])


def pytest_terminal_summary(terminalreporter: pytest.TerminalReporter, config: pytest.Config) -> None:
    for found in config.stash.get(CHOSEN, ()):
        terminalreporter.section(f"golden runs in {found.folder.name}")
        terminalreporter.write_line(f"replayed:    {', '.join([*found.covered(), *found.elsewhere()]) or 'none'}")
        terminalreporter.write_line(f"not covered: {', '.join(found.not_covered()) or 'none'}")
