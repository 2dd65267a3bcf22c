"""Ability items in plain English, for models that were trained on real text: words, and items drawn from one seed."""
