"""How presets are chosen: one protocol, one budget and one search for every editor."""
