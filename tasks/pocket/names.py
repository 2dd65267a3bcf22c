"""Pronounceable made-up names that no corpus knows and that a small vocabulary cuts into several pieces."""

from __future__ import annotations

from random import Random

_ONSETS = [
    "b",
    "br",
    "ch",
    "d",
    "dr",
    "f",
    "fl",
    "g",
    "gl",
    "gr",
    "h",
    "j",
    "k",
    "kl",
    "kr",
    "l",
    "m",
    "n",
    "p",
    "pr",
    "qu",
    "r",
    "s",
    "sk",
    "sl",
    "st",
    "t",
    "th",
    "tr",
    "v",
    "vl",
    "w",
    "y",
    "z",
]
_VOWELS = ["a", "e", "i", "o", "u", "ai", "ea", "ou"]
_CODAS = ["l", "m", "n", "r", "s", "t", "v", "x", "nd", "rk", "lm", "th", "sk", "ng"]


class NameMaker:
    """Draws names, never the same twice, from its own generator."""

    def __init__(self, rng: Random) -> None:
        self._rng = rng
        self._used: set[str] = set()

    def word(self, syllables: int) -> str:
        """A new capitalised word of ``syllables`` syllables; only the last one is closed by a consonant."""
        while True:
            parts = [self._rng.choice(_ONSETS) + self._rng.choice(_VOWELS) for _ in range(syllables)]
            name = ("".join(parts) + self._rng.choice(_CODAS)).capitalize()
            if name not in self._used:
                self._used.add(name)
                return name
