"""Measurements of edited weights: pure functions, and a tracker that feeds them during a run.

`sphere`, `spectra` and `edits` take tensors and return numbers; `norms` takes a whole model; `keys` asks it; `sample`
keeps a seeded sample of edits; `gauge` and `tracker` watch a run. `palimpsest.harness.metrics.diagnostic_definitions`
says what each name means.
"""
