"""Facts of the real world in sentences of our own, for models that know them."""
