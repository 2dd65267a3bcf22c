"""Ability tasks by name: where each comes from, what identifies it, and the groups of them.

A name is one of four things, looked for in this order: a group of ``groups.toml``; a task that ships with Palimpsest; a
folder or YAML file of lm-eval tasks on this machine; a task of lm-eval's own, whose items come from the hub. lm-eval is
imported only to look up names of the last kind that no group has, since that takes seconds.
"""

from __future__ import annotations

import hashlib
import tomllib
from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass, field
from functools import cache
from importlib import metadata
from pathlib import Path

from palimpsest.harness.abilities.items import AbilitySource
from palimpsest.harness.abilities.stock import stock_manager
from palimpsest.harness.errors import ConfigError, MissingResource, UsageError, unknown_name
from palimpsest.harness.model.catalogue import require_no_pointer
from palimpsest.harness.specs.run_spec import LARGEST, AbilityRef
from palimpsest.tasks.ability_data import data_file
from palimpsest.tasks.ability_files import files_of

FOLDER = Path(__file__).resolve().parent / "abilities"
"""One ``<task>.yaml`` per ability with its items, code shared by them, ``groups.toml``, and the folders below."""
WHOLE = ("plain",)
"""Subfolders of tasks that ship with their items, too; the code beside them is theirs alone."""
LOCAL = {"glue_lm_eval": "ability_data.py", "published": "general/*.py", "general": "general/*.py"}
"""Subfolder whose tasks read their items from the folders of ``--ability-data`` → code in this room that they use."""
RENAMED = {"glue-papers": "glue-lm-eval", "glue-papers-generated": "glue-lm-eval-generated"}
"""Former name of a group → its name now, of the same tasks."""
_LIST = "palimpsest list abilities"


@dataclass(frozen=True, slots=True)
class AbilityGroup:
    """A named group of tasks, with what it fixes."""

    local: tuple[str, ...] = ()
    """Tasks whose YAML ships here."""
    stock: tuple[str, ...] = ()
    """lm-eval's own tasks; taken when no local data were given."""
    shots: int | None = None
    """Examples before each item; None: as each task says."""
    limit: int | None = None
    limits: Mapping[str, int] = field(default_factory=dict)
    """Task → limit that differs from ``limit``."""

    def limit_of(self, task: str) -> int | None:
        """At most this many items of ``task``; None: all."""
        return self.limits.get(task, self.limit)


def ability_groups(folder: Path = FOLDER) -> dict[str, AbilityGroup]:
    """The groups of ``groups.toml``."""
    path = folder / "groups.toml"
    if not path.is_file():
        return {}
    groups = {}
    for name, value in tomllib.loads(path.read_text(encoding="utf-8")).items():
        table = value if isinstance(value, dict) else {"local": value}
        groups[name] = AbilityGroup(tuple(table.pop("local", ())), tuple(table.pop("stock", ())), **table)
    return groups


def ability_names(folder: Path = FOLDER) -> tuple[str, ...]:
    """Names of the tasks that ship, those that need local data included."""
    return tuple(sorted([*_own(folder), *_local(folder)]))


@cache
def local_tasks() -> Mapping[str, Path]:
    """Tasks that ship without their items, and the files that define them."""
    return _local(FOLDER)


@cache
def own_tasks() -> Mapping[str, Path]:
    """Tasks that ship with their items, and the files that define them."""
    return _own(FOLDER)


def _own(folder: Path) -> dict[str, Path]:
    return {path.stem: path for place in ("", *WHOLE) for path in (folder / place).glob("*.yaml")}


def _local(folder: Path) -> dict[str, Path]:
    return {path.stem: path for kind in LOCAL for path in (folder / kind).glob("*.yaml")}


def ability_refs(names: Sequence[str], limit: int | None, *, folder: Path = FOLDER) -> tuple[AbilityRef, ...]:
    """`AbilityLibrary.refs` without local data."""
    return AbilityLibrary(folder=folder).refs(names, limit)


class AbilityLibrary:
    """Finds ability tasks by name; remembers the folders that names brought in."""

    def __init__(self, data: Sequence[Path] = (), *, folder: Path = FOLDER) -> None:
        """Set up.

        Args:
            data: Folders with the items of tasks that ship without (``--ability-data``).
            folder: Where the tasks are that ship.
        """
        self.data = tuple(Path(place) for place in data)
        self._folder = folder
        self._groups = ability_groups(folder)
        self._own = _own(folder)
        self._local = _local(folder)
        self._brought: dict[str, Path] = {}

    def refs(self, names: Sequence[str], limit: int | None) -> tuple[AbilityRef, ...]:
        """References to the tasks of these names, groups and folders replaced by their tasks, each task once.

        Args:
            names: Tasks, groups, folders of lm-eval tasks, or YAML files; ``NAME=N``: at most N items of its tasks.
            limit: At most this many items of each other task, from its first; None: what a group fixes, else all.

        Raises:
            UsageError: A name that is none of these, or a limit below 1.
            MissingResource: Local data are needed and were not given, or lack a file.
        """
        chosen: dict[str, int | None] = {}
        for text in names:
            name, own = _with_limit(text)
            for task, fixed in self._expand(name):
                chosen.setdefault(task, own or limit or fixed)
        return tuple(AbilityRef(name=n, content_hash=self._content(n), limit=count) for n, count in chosen.items())

    @property
    def brought(self) -> Sequence[Path]:
        """Files of the tasks that names brought in, so that another process can bring them in too."""
        return tuple(self._brought.values())

    def source(self, ref: AbilityRef) -> AbilitySource:
        """The file of the task of a reference.

        Raises:
            ConfigError: Its files are not those that the reference was made from.
            MissingResource: Its local data are not given.
        """
        if self._content(ref.name) != ref.content_hash:
            raise ConfigError(
                f"Ability task {ref.name!r}: its YAML, items or lm-eval changed since this run was specified. "
                "Give the same --abilities and --ability-data, or run it anew."
            )
        path = self._path(ref.name)
        return AbilitySource(ref.name, None if path is None else path.parent, self._shots(ref.name))

    def _expand(self, name: str) -> Iterable[tuple[str, int | None]]:
        if name in RENAMED:
            raise UsageError(
                f"The ability group {name} is called {RENAMED[name]} now: its prompts are lm-eval's. It asks the same, "
                "and runs keep their ids. The papers' own form is glue-published."
            )
        if name in self._groups:
            group = self._groups[name]
            tasks = group.local if group.local and (self.data or not group.stock) else group.stock
            missing = sorted(set(tasks) & set(group.local) - set(self._own) - set(self._local))
            if missing:
                raise UsageError(f"{self._folder / 'groups.toml'} names tasks without a file: {', '.join(missing)}.")
            return [(task, group.limit_of(task)) for task in tasks]
        if name in self._own or name in self._local or name in self._brought or name in self._stock_of_groups():
            return [(name, None)]
        if Path(name).suffix in (".yaml", ".yml") or Path(name).is_dir():
            return [(task, None) for task in self._bring(Path(name))]
        stock = stock_manager().all_tasks  # lm-eval's own tasks, groups and tags
        if name not in stock:
            known = (*self._groups, *self._own, *self._local, *stock)
            raise unknown_name("ability", name, known, f"{_LIST} (or a task of lm-eval, a folder, a YAML file)")
        return [(name, None)]

    def _stock_of_groups(self) -> set[str]:
        return {task for group in self._groups.values() for task in group.stock}

    def _bring(self, place: Path) -> list[str]:
        """Take in the tasks of a folder or of one YAML file; their names."""
        if not place.exists():
            raise UsageError(f"Ability task file {place}: no such file.")
        files = sorted(place.glob("*.yaml")) if place.is_dir() else [place]
        found = [(task, path) for path in files if (task := _field(path, "task:")) is not None]
        if not found:
            raise UsageError(f"{place} holds no lm-eval task: expected YAML files with a field task.")
        for task, path in found:
            if task in self._own or task in self._local or self._brought.get(task, path) != path:
                raise UsageError(f"{path}: an ability task called {task!r} is there already; give it another name.")
            self._brought[task] = path.resolve()
        return [task for task, _ in found]

    def _path(self, name: str) -> Path | None:
        """The YAML of a task; None for lm-eval's own."""
        return self._own.get(name) or self._local.get(name) or self._brought.get(name)

    def _shots(self, name: str) -> int | None:
        """Settings that a group fixes for one of lm-eval's own tasks; the others say them in their YAML."""
        return next((g.shots for g in self._groups.values() if name in g.stock), None)

    def _content(self, name: str) -> str:
        """SHA-256 over all that decides what is asked; for lm-eval's own tasks, its version and the shots."""
        path, digest = self._path(name), hashlib.sha256()
        if path is None:
            digest.update(f"lm-eval {metadata.version('lm-eval')} {name} shots {self._shots(name)}".encode())
            return digest.hexdigest()
        if name in self._own:
            parts = [path, path.with_suffix(".jsonl"), *sorted(path.parent.glob("*.py"))]
        elif name in self._local:
            code = Path(__file__).parent.glob(LOCAL[path.parent.name])
            parts = [path, *sorted(path.parent.glob("_*")), *sorted(code)]
        else:
            parts = files_of(path)
        for part in parts:
            if part.is_file():
                require_no_pointer(part)
                name_of_part = (
                    part.relative_to(path.parent).as_posix() if part.is_relative_to(path.parent) else part.name
                )
                digest.update(name_of_part.encode() + b"\0" + part.read_bytes().replace(b"\r\n", b"\n") + b"\0")
        if name in self._local:
            digest.update(_unpacked(self._data_file(path)))
        return digest.hexdigest()

    def _data_file(self, path: Path) -> Path:
        """The items of a task that ships without them; raises `MissingResource`."""
        found = data_file(_field(path, "  file:") or path.stem, [str(folder) for folder in self.data])
        require_no_pointer(found)
        return found


def _with_limit(text: str) -> tuple[str, int | None]:
    """``NAME=N`` as a name and its limit; every other text as it is."""
    name, equals, number = text.rpartition("=")
    if not equals or not (number.isascii() and number.isdecimal()) or Path(text).exists():
        return text, None
    if not 1 <= int(number) <= LARGEST:
        raise UsageError(f"Ability {text!r}: expected a number of items from 1 to {LARGEST} behind the =.")
    return name, int(number)


def _unpacked(path: Path) -> bytes:
    import gzip
    import zlib

    try:
        raw = path.read_bytes()
        return gzip.decompress(raw) if path.suffix == ".gz" else raw
    except (OSError, EOFError, zlib.error) as error:
        raise MissingResource(f"Ability data {path} cannot be read ({error}).") from error


def _field(path: Path, field: str) -> str | None:
    """The text behind ``field`` at the start of a line; the tags of lm-eval's YAML need no reading for that."""
    for line in path.read_text(encoding="utf-8", errors="replace").splitlines():
        if line.startswith(field):
            return line.partition(":")[2].partition("#")[0].strip().strip("'\"") or None
    return None
