"""Palimpsest: one benchmark for sequential knowledge editing of language models."""

__version__ = "0.1.0"
