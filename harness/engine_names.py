"""The engines that exist; apart from `palimpsest.harness.engine` so that a flag can be checked without torch."""

ENGINES = ("hf", "vllm")
