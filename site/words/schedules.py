"""Words that tell schedules of one name apart: what is scored on the way, in which order, and how."""

from __future__ import annotations

from collections.abc import Callable, Sequence

from palimpsest.results.records import Track
from palimpsest.site.words import labels
from palimpsest.site.words.text import count


def differences(track: Track, namesakes: Sequence[Track]) -> str:
    """Parts of a track's schedule that those of other tracks, of the same length and batches, have otherwise.

    Args:
        track: The track.
        namesakes: Tracks whose schedules have the same name; the track itself may be among them.
    """
    words = [word(track) for word in _WORDS if len({word(other) for other in (track, *namesakes)}) > 1]
    return ", ".join(words)


def _checkpoints(track: Track) -> str:
    points = [count(edits) for edits in track.checkpoints if edits > 0]
    return f"scored after {', '.join(points)} edits"


def _sample(track: Track) -> str:
    return "every edit scored" if track.sample is None else f"a sample of {count(track.sample)} scored"


def _texts(track: Track) -> str:
    return f"texts sampled of {count(track.texts)} edits" if track.texts else "no texts sampled"


def _special_tokens(track: Track) -> str:
    return "texts with special tokens, too" if track.special_tokens else "texts without special tokens"


def _top(track: Track) -> str:
    return "neighbours against the unedited model" if track.top else "neighbours against the facts alone"


def _published_top(track: Track) -> str:
    return "neighbours in published forms, too" if track.published_top else "neighbours in our form alone"


def _tokenisation(track: Track) -> str:
    return "published tokenisation" if track.reference_tokenisation else "the tokenizer's own tokenisation"


def _abilities(track: Track) -> str:
    titles = [labels.ability_title(name).lower() for name in track.abilities]
    return f"abilities: {', '.join(titles)}" if titles else "no abilities"


_WORDS: tuple[Callable[[Track], str], ...] = (
    lambda track: track.edit_order,
    _checkpoints,
    _sample,
    _texts,
    _special_tokens,
    _top,
    _published_top,
    _tokenisation,
    _abilities,
    lambda track: f"protocol {track.protocol}",
)
