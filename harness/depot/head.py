"""The head of a run: who may publish it, and every file of it by its content. In a depot only heads ever change."""

from __future__ import annotations

import re
from typing import Annotated, Any, Literal

from pydantic import Field, ValidationError

from palimpsest.harness.depot.store import Store
from palimpsest.harness.errors import ConfigError
from palimpsest.harness.system.strict import Strict

HEADS = "heads"
RUNS = "runs"
"""Folders of a depot: of all heads; of a folder of blobs for each run."""
_PART = r"(?![.]|lock)[A-Za-z0-9_.+-]+(?<![.]damaged)(?<![.]partial)"
NAME = re.compile(rf"^{_PART}(/{_PART})*\Z")
"""A file in a folder of ours: nothing hidden, set aside or half-written, and nothing that leads out of its folder."""
Name = Annotated[str, Field(pattern=NAME.pattern)]


class Blob(Strict, regex_engine="python-re"):
    """Content of a file, as an object that is written once and never changed."""

    key: Name
    """Name among the blobs of the run."""
    bytes: int = Field(ge=0)
    sha256: str = Field(pattern="^[0-9a-f]{64}$")


class Head(Strict, regex_engine="python-re"):
    """State of a run in a depot."""

    format: Literal[1] = 1
    run: str
    epoch: int = Field(ge=1)
    """Number of owners so far; each publishes in its own epoch only."""
    beat: int = Field(ge=1)
    """Number of heads so far, so that no two of a run are ever the same."""
    owner: str = ""
    """Holder of the right to publish; empty: nobody, who comes first may take it."""
    status: str = "missing"
    """As `palimpsest.harness.runs.reading.RunState` has it."""
    edits: int = Field(default=0, ge=0)
    files: dict[Name, Blob] = Field(default_factory=dict)
    """File in the run's folder → its content."""

    @property
    def is_over(self) -> bool:
        """True if nothing is left to do. A run that failed is tried again."""
        return self.status in ("complete", "collapsed")

    @property
    def keys(self) -> set[str]:
        """Keys of all its blobs."""
        return {blob.key for blob in self.files.values()}

    def next(self, **changes: Any) -> Head:
        """The head that follows."""
        return self.model_copy(update={"beat": self.beat + 1, **changes})

    def packed(self) -> bytes:
        """This head as JSON."""
        return self.model_dump_json(indent=1).encode() + b"\n"


def look(store: Store, run: str) -> tuple[Head | None, str | None]:
    """The head of a run as it is now, and its tag; None where there is none. Raises `ConfigError` for a damaged one."""
    key = f"{HEADS}/{run}.json"
    found = store.read(key)
    try:
        return (None, None) if found is None else (Head.model_validate_json(found[0]), found[1])
    except ValidationError as error:
        where = "; ".join(f"{'.'.join(map(str, e['loc']))}: {e['msg']}" for e in error.errors()[:3])
        raise ConfigError(f"{key} in the depot {store.url} is damaged, or of another release: {where}.") from error
