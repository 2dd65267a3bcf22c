"""Any value in the types that JSON has."""

from __future__ import annotations

import math
from collections.abc import Callable, Mapping, Sequence, Set
from dataclasses import asdict, is_dataclass
from typing import Any


def json_value(
    value: Any, *, not_finite: Callable[[float], Any] = lambda _: None, text: Callable[[str], str] = str
) -> Any:
    """``value`` in JSON's types: dataclasses as objects, sets sorted, paths and times as text.

    ``not_finite`` says what stands for NaN and the infinities, which JSON cannot write (null if it is not given),
    ``text`` what becomes of each text, keys included.
    """

    def within(part: Any) -> Any:
        if part is None or isinstance(part, bool | int):
            return part
        if isinstance(part, float):
            return part if math.isfinite(part) else not_finite(part)
        if is_dataclass(part) and not isinstance(part, type):
            part = asdict(part)
        if isinstance(part, Mapping):
            return {text(str(key)): within(item) for key, item in part.items()}
        if isinstance(part, Set):
            part = sorted(part)
        if isinstance(part, Sequence) and not isinstance(part, str | bytes):
            return [within(item) for item in part]
        return text(str(part))

    return within(value)
