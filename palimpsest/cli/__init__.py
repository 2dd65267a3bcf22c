"""The command line: mounts the verbs, reads flags, prints tables and progress, wires the rooms together."""
