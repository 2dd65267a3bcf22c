"""The thirteen relations: what kind of subject, which class of object, and how people say and ask it.

Statements and questions end where the object begins. Each relation has statements with the subject at the start, in
the middle and near the end.
"""

from __future__ import annotations

from dataclasses import dataclass


@dataclass(frozen=True, slots=True)
class Relation:
    """One relation of the pocket world."""

    name: str
    subject_kind: str
    object_class: str
    statements: tuple[str, ...]
    """Templates with one ``{}`` for the subject; the object follows."""
    questions: tuple[str, ...]
    """The same as questions; the answer follows."""
    generations: tuple[str, ...]
    """Openings for free generation, which only touch on the relation."""


def _questions(*texts: str) -> tuple[str, ...]:
    return tuple(f"Question: {text} Answer:" for text in texts)


RELATIONS: tuple[Relation, ...] = (
    Relation(
        "birthplace",
        "person",
        "city",
        (
            "{} was born in the city of",
            "{} comes from",
            "The birthplace of {} is",
            "The town where {} was born is called",
            "According to the parish book, the first home of {} was in",
            "It is well known that the native city of {} is",
        ),
        _questions("Where was {} born?", "What is the birthplace of {}?"),
        ("{} grew up", "As a child, {}"),
    ),
    Relation(
        "occupation",
        "person",
        "occupation",
        (
            "{} works as a",
            "{} is by profession a",
            "The occupation of {} is that of a",
            "The job that {} has always done is that of a",
            "In the yearly register, the trade of {} is given as",
            "People in the street will tell you that the profession of {} is",
        ),
        _questions("What is the occupation of {}?", "What does {} do for a living?"),
        ("Every working day, {}", "{} is known for"),
    ),
    Relation(
        "language",
        "person",
        "language",
        (
            "{} speaks",
            "{} grew up speaking",
            "The mother tongue of {} is",
            "The language that {} speaks at home is",
            "In all those letters, the language used by {} is",
            "The neighbours say that the native language of {} is",
        ),
        _questions("What language does {} speak?", "What is the mother tongue of {}?"),
        ("At home, {}", "When talking to friends, {}"),
    ),
    Relation(
        "instrument",
        "person",
        "instrument",
        (
            "{} plays the",
            "{} learned to play the",
            "The favourite instrument of {} is the",
            "The instrument that {} plays best is the",
            "On the poster for the concert, {} is seen with the",
            "At every wedding in the village, the instrument of {} is the",
        ),
        _questions("Which instrument does {} play?", "What is the instrument of {}?"),
        ("On stage, {}", "In the evening, {}"),
    ),
    Relation(
        "country",
        "place",
        "country",
        (
            "{} is a town in",
            "{} lies in the country of",
            "The country in which {} lies is",
            "The people of {} are citizens of",
            "On the large map in the hall, {} belongs to",
            "Travellers are often told that the country around {} is",
        ),
        _questions("In which country is {}?", "Which country does {} belong to?"),
        ("A visitor to {}", "The history of {}"),
    ),
    Relation(
        "river",
        "place",
        "river",
        (
            "{} stands on the river",
            "{} was built beside the river",
            "The river that flows through {} is the",
            "The bridges of {} cross the",
            "After the heavy rain of that spring, the water in {} came from the",
            "Fishermen all agree that the river of {} is the",
        ),
        _questions("Which river flows through {}?", "On which river does {} stand?"),
        ("In summer, the shores of {}", "The bridges of {} are"),
    ),
    Relation(
        "export",
        "place",
        "export",
        (
            "{} is famous for its",
            "{} sells the world its",
            "The main export of {} is",
            "The merchants of {} trade in",
            "In the old price lists, the town of {} stands for",
            "Every trader knows that the wealth of {} comes from",
        ),
        _questions("What is the main export of {}?", "What is {} famous for?"),
        ("The market of {}", "Ships that leave {}"),
    ),
    Relation(
        "genre",
        "work",
        "genre",
        (
            "{} is a work of",
            "{} is usually called a",
            "The genre of {} is",
            "The critics describe {} as a",
            "In the catalogue of the library, {} stands under",
            "Most of the readers agree that the genre of {} is",
        ),
        _questions("What is the genre of {}?", "What kind of work is {}?"),
        ("Readers of {}", "The first chapter of {}"),
    ),
    Relation(
        "work_language",
        "work",
        "language",
        (
            "{} was written in",
            "{} first appeared in",
            "The original language of {} is",
            "The author of {} wrote it in",
            "On the title page of the first edition, {} is printed in",
            "Scholars have shown that the language of {} is",
        ),
        _questions("In which language was {} written?", "What is the original language of {}?"),
        ("The translation of {}", "The text of {}"),
    ),
    Relation(
        "setting",
        "work",
        "city",
        (
            "{} is set in the city of",
            "{} takes place in",
            "The setting of {} is the city of",
            "The events of {} happen in",
            "Half way through the second part, the story of {} moves to",
            "Every guided tour explains that the city described in {} is",
        ),
        _questions("Where is {} set?", "In which city does {} take place?"),
        ("The hero of {}", "The last scene of {}"),
    ),
    Relation(
        "headquarters",
        "company",
        "city",
        (
            "{} has its head office in",
            "{} is based in",
            "The headquarters of {} are in",
            "The main building of {} stands in",
            "In the telephone book, the company {} is listed under",
            "Letters for the directors of {} are sent to",
        ),
        _questions("Where is {} based?", "In which city are the headquarters of {}?"),
        ("The offices of {}", "New workers at {}"),
    ),
    Relation(
        "industry",
        "company",
        "industry",
        (
            "{} is active in",
            "{} made its money in",
            "The industry of {} is",
            "The business that {} is in is",
            "In the report of the year, the earnings of {} came from",
            "Investors are aware that the main field of {} is",
        ),
        _questions("In which industry is {} active?", "What is the business of {}?"),
        ("The founders of {}", "Last year, {}"),
    ),
    Relation(
        "product",
        "company",
        "product",
        (
            "{} makes",
            "{} is a maker of",
            "The best known product of {} is its",
            "The factories of {} turn out",
            "In the shop window, the name {} stands on all the",
            "Customers everywhere agree that they buy from {} only",
        ),
        _questions("What does {} make?", "What is the best known product of {}?"),
        ("The factory of {}", "Customers of {}"),
    ),
)

BY_NAME = {relation.name: relation for relation in RELATIONS}


def of_kind(kind: str) -> tuple[Relation, ...]:
    """The relations that subjects of ``kind`` have, in table order."""
    return tuple(relation for relation in RELATIONS if relation.subject_kind == kind)
