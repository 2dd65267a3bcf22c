"""Seeded damage to values and to bytes, of the kinds that disks, editors and scripts do."""

from __future__ import annotations

import random
from collections.abc import Callable
from typing import Any

ODD: tuple[Any, ...] = (
    *(None, True, False, 0, -1, 7, 10**30, 0.5, "", " ", "\0", "{}", "{", "ßẞ\u2028\u202e", "x" * 20_000),
    *([], [""], [None], [3], {}, {"str": ""}, {"a": {}}, "NaN", "1e5", [[["deep"]]]),
)


def damaged_value(value: Any, rng: random.Random) -> Any:
    """A copy of a value of JSON's types with one thing changed somewhere inside."""
    if isinstance(value, dict) and value and rng.random() < 0.85:
        changed = dict(value)
        name = rng.choice(sorted(changed))
        action = rng.randrange(6)
        if action == 0:
            del changed[name]
        elif action == 1:
            changed[name + rng.choice("sx_ ")] = changed.pop(name)
        else:
            changed[name] = damaged_value(changed[name], rng)
        return changed
    if isinstance(value, list) and value and rng.random() < 0.85:
        changed_list = list(value)
        place = rng.randrange(len(changed_list))
        action = rng.randrange(6)
        if action == 0:
            del changed_list[place]
        elif action == 1:
            changed_list.append(changed_list[place])
        else:
            changed_list[place] = damaged_value(changed_list[place], rng)
        return changed_list
    return rng.choice(ODD)


def _flip(data: bytearray, rng: random.Random) -> None:
    for _ in range(rng.choice((1, 1, 1, 3, 20))):
        data[rng.randrange(len(data))] ^= 1 << rng.randrange(8)


def _cut_off(data: bytearray, rng: random.Random) -> None:
    del data[rng.randrange(len(data)) :]


def _cut_out(data: bytearray, rng: random.Random) -> None:
    start = rng.randrange(len(data))
    del data[start : start + rng.randrange(1, 200)]


def _zero(data: bytearray, rng: random.Random) -> None:
    start = rng.randrange(len(data))
    data[start : start + 16] = bytes(len(data[start : start + 16]))


def _insert(data: bytearray, rng: random.Random) -> None:
    place = rng.randrange(len(data) + 1)
    signs = [
        b"\xff\xfe",
        b"\xc3",
        b"\xed\xa0\x80",
        b"\0",
        b"NaN",
        b"\n",
        b"\r",
        b'"',
        b"{",
        b"]",
        b",",
        b"\\u",
        b"1e999",
    ]
    data[place:place] = rng.choice([*signs, rng.randbytes(8), b"[" * 2000, b"9" * 5000, b"\xef\xbb\xbf"])


def _repeat(data: bytearray, rng: random.Random) -> None:
    start = rng.randrange(len(data))
    data[start:start] = data[start : start + rng.randrange(1, 400)]


def _append(data: bytearray, rng: random.Random) -> None:
    data += rng.choice([rng.randbytes(20), b"{}", b"\n\n", b"garbage", bytes(30)])


DAMAGES: tuple[Callable[[bytearray, random.Random], None], ...] = (
    *(_flip, _cut_off, _cut_out, _zero, _insert, _insert, _repeat, _append),
)


def damaged_bytes(data: bytes, rng: random.Random) -> bytes:
    """The bytes with one damage, now and then two."""
    changed = bytearray(data)
    for _ in range(rng.choice((1, 1, 1, 2))):
        if changed:
            rng.choice(DAMAGES)(changed, rng)
    return bytes(changed)
