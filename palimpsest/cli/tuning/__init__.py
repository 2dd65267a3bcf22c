"""Choice of presets: one protocol, one budget and one search for every editor."""
