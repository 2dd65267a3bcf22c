"""One file a verb, with `_` for `-`."""
