"""Places in a model where facts are kept: causal tracing, the reach of target vectors, the blocks that follow from it."""
