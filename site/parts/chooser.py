"""The chooser of a track: model × task × schedule, each part with all that there is and what of it leads to a track."""

from __future__ import annotations

from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass

from palimpsest.results.records import Track
from palimpsest.site.words import schedules
from palimpsest.site.words.text import count, older_protocol

Key = Callable[[Track], tuple[object, ...]]


@dataclass(frozen=True, slots=True)
class Choice:
    """One model, task or schedule."""

    label: str
    note: str
    """Difference from another one of the same label, in words; may be empty."""
    href: str
    """The track with this part and the others as they are; empty where there is none."""
    editors: int
    """Editors on that track."""
    current: bool


@dataclass(frozen=True, slots=True)
class Part:
    """One of the three choices."""

    name: str
    missing: str
    """The other two parts, in words, with which a choice that leads nowhere has no run."""
    choices: tuple[Choice, ...]

    @property
    def chosen(self) -> Choice:
        """The choice that the page is about."""
        return next(choice for choice in self.choices if choice.current)


def schedule_label(track: Track) -> str:
    """A schedule in a few words."""
    return f"{count(track.edits)} edits, batches of {count(track.batch_size)}{older_protocol(track.protocol)}"


def chooser(
    current: Track, tracks: Sequence[Track], href: Callable[[Track], str], editors: Mapping[str, int]
) -> tuple[Part, ...]:
    """The three parts; a choice leads to a track only if the other two parts stay as they are.

    Args:
        current: The track of the page.
        tracks: All tracks.
        href: Address of a track's page.
        editors: Track id → number of editors on it.
    """
    parts: tuple[tuple[str, str, Key, Callable[[Track], str]], ...] = (
        ("Model", "on this task and schedule", model_key, lambda t: t.model),
        ("Task", "with this model and schedule", task_key, lambda t: t.task),
        ("Schedule", "with this model and task", schedule_key, schedule_label),
    )
    keys = [key for _, _, key, _ in parts]
    return tuple(
        Part(name, missing, _choices(current, tracks, key, label, keys, href, editors))
        for name, missing, key, label in parts
    )


def _choices(
    current: Track,
    tracks: Sequence[Track],
    key: Key,
    label: Callable[[Track], str],
    keys: Sequence[Key],
    href: Callable[[Track], str],
    editors: Mapping[str, int],
) -> tuple[Choice, ...]:
    groups: dict[tuple[object, ...], list[Track]] = {}
    for track in tracks:
        groups.setdefault(key(track), []).append(track)
    others = [other for other in keys if other is not key]
    reached = {
        value: current
        if value == key(current)
        else next((track for track in group if all(other(track) == other(current) for other in others)), None)
        for value, group in groups.items()
    }
    shown = {value: reached[value] or group[0] for value, group in groups.items()}
    choices = []
    for value, track in sorted(shown.items(), key=lambda item: (_natural(label(item[1])), repr(item[0]))):
        namesakes = [other for other in shown.values() if label(other) == label(track)]
        there = (href(track), editors.get(track.track_id, 0)) if reached[value] else ("", 0)
        note = _difference(key, track, namesakes) if len(namesakes) > 1 else ""
        choices.append(Choice(label(track), note, *there, value == key(current)))
    return tuple(choices)


def _natural(label: str) -> tuple[int, str]:
    """Lengths in order of size, names by letter."""
    digits = label.partition(" ")[0].replace("\u202f", "")
    return (int(digits) if digits.isascii() and digits.isdecimal() else 0, label)


def model_key(track: Track) -> tuple[object, ...]:
    """Everything that makes two models different."""
    return (track.model, track.model_fingerprint)


def task_key(track: Track) -> tuple[object, ...]:
    """Everything that makes two tasks different."""
    return (track.task, track.task_hash)


def schedule_key(track: Track) -> tuple[object, ...]:
    """Everything that makes two schedules different."""
    return (
        track.edits,
        track.batch_size,
        track.checkpoints,
        track.edit_order,
        -1 if track.sample is None else track.sample,
        (track.texts, track.special_tokens, track.top, track.published_top, track.reference_tokenisation),
        track.protocol,
        track.abilities,
    )


def _difference(key: Key, track: Track, namesakes: Sequence[Track]) -> str:
    if key is model_key:
        return track.model_fingerprint[:8]
    if key is task_key:
        return track.task_hash[:8]
    return schedules.differences(track, namesakes) or track.track_id[:8]
