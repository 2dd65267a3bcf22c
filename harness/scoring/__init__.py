"""Asking a model: probes, generation, checks that asking leaves no trace."""
