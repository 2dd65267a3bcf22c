"""A home on object storage: one head object for each run, changed by compare-and-swap alone."""
