"""The engines that exist; apart from `harness.abilities.engine` so that a flag can be checked without torch."""

ENGINES = ("hf", "vllm")
