"""Editors by name: found, configured, built, watched."""
