"""General abilities: lm-eval tasks, answered by an engine."""
