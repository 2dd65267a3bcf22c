"""Where a model keeps facts: causal tracing, the reach of target vectors, and the blocks that follow from them."""
