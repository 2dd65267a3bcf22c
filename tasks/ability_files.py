"""The files that somebody's own ability task is made of: what its YAML says, what that reads, and the code beside it.

All of them enter the task's identity, so that no file can change a score under an old name. That holds only for files
in the task's own folder; what its YAML reads from elsewhere is refused.
"""

from __future__ import annotations

from collections.abc import Iterator
from glob import has_magic
from itertools import takewhile
from pathlib import Path
from typing import Any

import yaml

from palimpsest.harness.errors import ConfigError

KINDS = (".yaml", ".py", ".jsonl", ".json", ".csv", ".parquet", ".gz", ".txt")
"""Files that count wherever they lie in the folder; others only where the YAML names them."""
MOST = 2_000
"""Files of a task's folder; more are no task but somebody's home."""
_BUILDERS = ("json", "csv", "parquet", "text", "arrow", "xml")
"""Names of readers of local files, not of data sets."""


def files_of(task: Path) -> list[Path]:
    """Every file that the task in a YAML file is made of, those of its folder first, each once.

    Args:
        task: The YAML file; all of its folder belongs to it, subfolders included.

    Raises:
        ConfigError: It reads something outside its folder, or the folder holds too many files.
    """
    folder = task.parent.resolve()
    here = sorted(path for path in folder.iterdir() if path.is_file() and path.suffix in KINDS)
    below = sorted(path for path in _walk(folder) if path.parent != folder and path.suffix in KINDS)
    found = dict.fromkeys([*here, *below])
    for read in sorted(_named(task)):
        if not read.is_relative_to(folder):
            raise ConfigError(
                f"{task}: reads {read}, which is outside its folder and so would not be part of what the task is. "
                f"Put it into {folder}, and start the command where the YAML's paths lead there."
            )
        found |= dict.fromkeys(sorted(_walk(read)) if read.is_dir() else [read] if read.is_file() else [])
    return list(found)


def _walk(folder: Path) -> Iterator[Path]:
    """Files in a folder and its subfolders, without hidden ones, links to folders, and what Python compiled.

    Raises:
        ConfigError: There are too many.
    """
    places = [folder]
    count = 0
    while places:
        for path in places.pop().iterdir():
            if path.name.startswith(".") or path.name == "__pycache__":
                continue
            if path.is_dir() and not path.is_symlink():
                places.append(path)
            elif path.is_file():
                count += 1
                yield path
            if count > MOST:
                raise ConfigError(
                    f"{folder} holds more than {MOST:,} files. Put the ability task into a folder of its own."
                )


def _named(task: Path) -> set[Path]:
    """Local files and folders that a YAML file and those that it includes name, resolved as they are read."""
    seen: set[Path] = set()
    data: set[Path] = set()
    waiting = [task.resolve()]
    while waiting:
        path = waiting.pop()
        if path in seen:
            continue
        seen.add(path)
        content = _content(path)
        include = content.get("include")
        waiting += [(path.parent / name).resolve() for name in _texts(include)]
        for text in _sources(content):
            if "://" in text:
                raise ConfigError(
                    f"{task}: reads {text}, which may change at any time and so is not part of what the task is. "
                    f"Fetch it into {task.parent} and name that file."
                )
            # `datasets` resolves such names against the working folder, not against the YAML's.
            plain = takewhile(lambda part: not has_magic(part), Path(text).expanduser().parts)
            data.add(Path(*plain).resolve())  # of a pattern, the folder that it is looked for in
    return seen | data


def _content(path: Path) -> dict[str, Any]:
    try:
        content = _Loader(path.read_text(encoding="utf-8")).get_single_data()
    except (OSError, ValueError, yaml.YAMLError):
        return {}  # lm-eval says what is wrong with it
    return content if isinstance(content, dict) else {}


def _sources(content: dict[str, Any]) -> Iterator[str]:
    """Paths and addresses of the data that one YAML file names."""
    arguments = content.get("dataset_kwargs")
    if isinstance(arguments, dict):
        yield from _texts([arguments.get("data_files"), arguments.get("data_dir")])
    source = content.get("dataset_path")
    if isinstance(source, str) and source not in _BUILDERS and Path(source).exists():
        yield source


def _texts(value: Any) -> Iterator[str]:
    """All texts in lists and tables of a YAML value."""
    if isinstance(value, str):
        yield value
    elif isinstance(value, dict | list):
        for entry in value.values() if isinstance(value, dict) else value:
            yield from _texts(entry)


class _Loader(yaml.SafeLoader):
    """Reads lm-eval's YAML without its functions: every tag of its own is nothing."""


_Loader.add_multi_constructor("!", lambda loader, suffix, node: None)
