"""Functions that the YAML files beside this one call: see `palimpsest.tasks.ability_data`."""

from palimpsest.tasks.ability_data import judge, load, load_text

__all__ = ["judge", "load", "load_text"]
