"""Many runs at once: one process for each, one dispatcher for all."""
