"""`pytest tests/golden --golden-dir DIR`: which folder of recorded reference runs is replayed."""

from __future__ import annotations

from pathlib import Path

import pytest

from tests.golden.recorded import Recording

SMALL = Path(__file__).parent / "llama-small"
CHOSEN = pytest.StashKey[Recording]()


def pytest_addoption(parser: pytest.Parser) -> None:
    parser.addoption("--golden-dir", type=Path, default=None, help="folder of recorded runs (default: the small set)")


def recording(config: pytest.Config) -> Recording:
    if CHOSEN not in config.stash:
        config.stash[CHOSEN] = Recording(config.getoption("golden_dir", default=None) or SMALL)
    return config.stash[CHOSEN]


def pytest_generate_tests(metafunc: pytest.Metafunc) -> None:
    if "run" in metafunc.fixturenames:
        metafunc.parametrize("run", recording(metafunc.config).covered())
    if "projected_run" in metafunc.fixturenames:
        found = recording(metafunc.config)
        metafunc.parametrize("projected_run", [run for run in found.covered() if found.editor(run) == "alphaedit"])


@pytest.fixture(name="golden")
def _golden(request: pytest.FixtureRequest) -> Recording:
    return recording(request.config)


def pytest_terminal_summary(terminalreporter: pytest.TerminalReporter, config: pytest.Config) -> None:
    if CHOSEN not in config.stash:
        return
    found = config.stash[CHOSEN]
    terminalreporter.section(f"golden runs in {found.folder.name}")
    terminalreporter.write_line(f"replayed:    {', '.join([*found.covered(), *found.elsewhere()]) or 'none'}")
    terminalreporter.write_line(f"not covered: {', '.join(found.not_covered()) or 'none'}")
