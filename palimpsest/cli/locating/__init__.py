"""Places in a model where facts are kept: causal tracing, the reach of target vectors, and the blocks to vary."""
