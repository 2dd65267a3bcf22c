"""The closed vocabularies of the pocket world: object classes of the relations, and plain English words."""

from __future__ import annotations

from random import Random

from palimpsest.tasks.pocket.names import NameMaker

COMMON_OBJECTS: dict[str, tuple[str, ...]] = {
    "occupation": (
        "baker", "book binder", "carpenter", "dentist", "florist", "gardener", "geologist",
        "historian", "judge", "lens maker", "painter", "piano tuner", "surgeon", "tailor",
    ),
    "instrument": (
        "accordion", "banjo", "cello", "clarinet", "drums", "flute", "guitar", "harp",
        "oboe", "piano", "trumpet", "violin",
    ),
    "genre": ("comedy", "tragedy", "romance", "western", "fantasy", "satire", "thriller", "mystery", "drama", "farce"),
    "industry": (
        "mining", "banking", "shipping", "farming", "printing", "brewing", "fishing", "weaving", "insurance", "aviation",
    ),
    "product": (
        "bicycles", "candles", "clocks", "engines", "furniture", "glass beads", "oil lamps", "paper", "rain coats", "tractors",
    ),
    "export": ("amber", "barley", "cheese", "copper", "cotton", "honey", "marble", "olives", "salt", "timber"),
}
"""Object classes whose members are English words."""

INVENTED_OBJECTS: dict[str, tuple[int, int, str]] = {
    "city": (16, 2, ""),
    "country": (10, 2, "ia"),
    "language": (12, 1, "ish"),
    "river": (10, 1, "a"),
}
"""Object classes whose members are made up: how many, syllables, ending."""

ANIMALS = (
    "badger", "beaver", "camel", "cat", "cow", "dog", "donkey", "duck", "eagle", "falcon", "fox", "frog",
    "goat", "hare", "hawk", "horse", "lion", "mole", "otter", "owl", "panda", "parrot", "pigeon", "rabbit",
    "raven", "robin", "seal", "spider", "swan", "tiger", "turtle", "zebra",
)
THINGS = (
    "barn", "basket", "bench", "bridge", "cabin", "car", "chair", "fence", "gate", "hill", "house", "lake",
    "mill", "path", "pond", "road", "rock", "school", "shop", "statue", "stone", "table", "tower", "tree",
    "truck", "tunnel", "wagon", "wall",
)
FOODS = (
    "apple", "bun", "cake", "carrot", "cherry", "cookie", "lemon", "melon", "onion", "pancake", "peach", "pear",
    "pie", "plum", "potato", "sandwich",
)
TOOLS = (
    "brush", "chisel", "drill", "file", "hammer", "hoe", "knife", "ladder", "needle", "pump", "rake", "saw",
    "shovel", "spade", "wrench", "rope",
)
PEOPLE = ("Anna", "Ben", "Carl", "Dora", "Emma", "Fred", "Gina", "Hugo", "Ida", "John", "Lena", "Mark")
COLOURS = ("black", "blue", "brown", "green", "grey", "orange", "pink", "purple", "red", "white", "yellow", "golden")
SINGULAR_VERBS = {"sleeps": "sleep", "runs": "run", "waits": "wait", "sings": "sing", "jumps": "jump", "rests": "rest",
                  "is": "are", "was": "were", "has": "have", "looks": "look", "seems": "seem", "moves": "move"}
PREPOSITIONS = ("near", "behind", "beside", "under", "above", "beyond", "around", "opposite")
GOOD_WORDS = (
    "brilliant", "charming", "delicious", "delightful", "excellent", "fantastic", "friendly", "gorgeous", "great",
    "lovely", "perfect", "pleasant", "splendid", "superb", "tasty", "wonderful",
)
BAD_WORDS = (
    "awful", "boring", "broken", "cold", "dirty", "dreadful", "dull", "horrible", "miserable", "nasty", "poor",
    "rude", "stale", "terrible", "ugly", "weak",
)
REVIEWED = (
    "acting", "bread", "breakfast", "coffee", "concert", "dinner", "film", "garden", "guide", "hotel", "music",
    "novel", "room", "service", "soup", "staff", "story", "view", "waiter", "weather",
)
ASIDES = (
    "The morning was quiet.", "It rained all night.", "The market opens at nine.", "Nobody answered the door.",
    "The train was late again.", "Tea is served in the hall.", "The old clock stopped.", "A letter came today.",
    "The garden needs water.", "We walked along the shore.", "The lamp is on the table.", "Snow fell on the roof.",
    "The children were playing outside.", "Dinner was ready at six.", "The road was closed.", "It was a long winter.",
    "The window stood open.", "Music came from next door.", "The bakery sold out early.", "Nothing else was said.",
)
"""Unrelated sentences that stand before other sentences, in the training text and in half of the paraphrases."""


def object_classes(rng: Random) -> dict[str, tuple[str, ...]]:
    """Every object class with its members; the made-up ones drawn from ``rng``."""
    maker = NameMaker(rng)
    invented = {
        kind: tuple(maker.word(syllables) + ending for _ in range(count))
        for kind, (count, syllables, ending) in INVENTED_OBJECTS.items()
    }
    openings = ("", "Port ", "", "Upper ")
    invented["city"] = tuple(openings[i % len(openings)] + name for i, name in enumerate(invented["city"]))
    return {**COMMON_OBJECTS, **invented}
