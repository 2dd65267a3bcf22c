"""What editing does to the weights: pure functions, a tracker that feeds them, the record of each number.

`weights`, `spectra` and `edits` take tensors and return numbers; `sample` keeps a seeded sample of edits; `tracker`
watches a run; `records` says what each name means; `reports` gathers what editors report; `truncation` is the probe
behind ``palimpsest probe-spectrum``.
"""
