"""Files, settings, signals, memory: what knows neither models nor edits."""
