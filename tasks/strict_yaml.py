"""YAML as people mean it: the safe loader, with JSON's numbers and booleans and no key twice.

PyYAML follows YAML 1.1, in which ``5e-1`` is text, ``010`` is eight, ``1:30`` is ninety and ``no`` is false. Here
``5e-1`` is a number, and the others stay text, so that a typed check can say what is wrong with them.
"""

from __future__ import annotations

import re
from typing import Any

import yaml

from palimpsest.harness.errors import ConfigError

MAX_DEPTH = 50

_PLAIN = {
    "tag:yaml.org,2002:null": (re.compile(r"(?:~|null|)\Z"), ["~", "n", ""]),
    "tag:yaml.org,2002:bool": (re.compile(r"(?:true|false)\Z"), list("tf")),
    "tag:yaml.org,2002:int": (re.compile(r"[-+]?(?:0|[1-9][0-9]*)\Z"), list("-+0123456789")),
    "tag:yaml.org,2002:float": (
        re.compile(r"[-+]?(?:[0-9]+\.[0-9]*|\.[0-9]+|[0-9]+(?=[eE]))(?:[eE][-+]?[0-9]+)?\Z"),
        list("-+.0123456789"),
    ),
}


class _StrictLoader(yaml.SafeLoader):
    yaml_implicit_resolvers: dict[str, list[tuple[str, re.Pattern[str]]]] = {}

    def construct_mapping(self, node: yaml.MappingNode, deep: bool = False) -> dict[Any, Any]:
        seen: dict[str, int] = {}
        for key, _ in node.value:
            where = key.start_mark.line + 1
            if not isinstance(key, yaml.ScalarNode) or key.tag != "tag:yaml.org,2002:str":
                raise yaml.constructor.ConstructorError(None, None, "expected a plain word as key", key.start_mark)
            if key.value in seen:
                problem = f'key "{key.value}" stands twice, first on line {seen[key.value]}'
                raise yaml.constructor.ConstructorError(None, None, problem, key.start_mark)
            seen[key.value] = where
        return super().construct_mapping(node, deep=deep)


for _tag, (_pattern, _first) in _PLAIN.items():
    _StrictLoader.add_implicit_resolver(_tag, _pattern, _first)


def parse(text: str, *, source: str) -> Any:
    """The one document in a YAML ``text`` as dicts, lists, texts, numbers, booleans and None.

    Raises:
        ConfigError: The text, which messages call ``source``, is not YAML, or holds a key twice, an alias, or more than
            one document.
    """
    try:
        depth = 0
        for event in yaml.parse(text, Loader=yaml.SafeLoader):
            depth += isinstance(event, yaml.CollectionStartEvent) - isinstance(event, yaml.CollectionEndEvent)
            if depth > MAX_DEPTH:
                raise ConfigError(f"{source}: not readable as YAML: nested more than {MAX_DEPTH} deep.")
            if isinstance(event, yaml.AliasEvent):
                line = f", line {event.start_mark.line + 1}" if event.start_mark else ""
                raise ConfigError(f"{source}{line}: aliases (*name) are not allowed here.")
        return _StrictLoader(text).get_single_data()
    except yaml.MarkedYAMLError as error:
        mark = error.problem_mark or error.context_mark
        line = f", line {mark.line + 1}" if mark else ""
        raise ConfigError(f"{source}{line}: not readable as YAML: {error.problem or error.context}.") from error
    except (yaml.YAMLError, ValueError, RecursionError) as error:
        raise ConfigError(f"{source}: not readable as YAML: {error}") from error
