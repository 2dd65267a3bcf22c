# %% [markdown]
# # Edit a model and look
#
# A language model gets a few facts written into it by AlphaEdit, in memory, and is asked before and after. The model is
# `pocket-llama`, which ships with Palimpsest and knows a fictional world; any transformers model with a preset goes the
# same way. In `float32` it is the model that runs edit, to the bit.

# %%
from transformers import AutoModelForCausalLM, AutoTokenizer

import palimpsest
from palimpsest.harness.model.catalogue import registered_models
from palimpsest.tasks.registry import load_task

folder = registered_models()["pocket-llama"].folder
model = AutoModelForCausalLM.from_pretrained(folder, dtype="float32")
tokenizer = AutoTokenizer.from_pretrained(folder)

# %% [markdown]
# Eight facts of the pocket world, each to be replaced by another. A request may also be a plain mapping with `prompt`,
# `subject` and `target_new`.

# %%
cases = load_task("pocket-counterfact").cases[:8]
requests = [case.request for case in cases]
for one in requests[:3]:
    print(f"{one.prompt.format(one.subject)}: {one.target_true} -> {one.target_new}")

# %% [markdown]
# One call edits a copy. The first one also collects statistics of the unedited model, which `home=` would keep.

# %%
edited = palimpsest.edit(model, tokenizer, requests, editor="alphaedit")

# %% [markdown]
# The same questions that a checkpoint of a run asks, of both models: the edits themselves, other ways to say them, and
# neighbours that should have stayed as they were.

# %%
before, after = (palimpsest.score(one, tokenizer, cases) for one in (model, edited))
for metric in ("efficacy_argmax", "paraphrase_argmax", "neighborhood_argmax"):
    print(f"{metric:22} {before.metrics[metric]:6.1f} -> {after.metrics[metric]:6.1f}")

# %% [markdown]
# Probe by probe, as a data frame: what the edits cost their neighbours.

# %%
table = before.frame().merge(after.frame(), on=["case_id", "kind", "index"], suffixes=("_before", "_after"))
table["moved"] = table["nll_true_after"] - table["nll_true_before"]
print(table.groupby("kind")["moved"].describe()[["mean", "min", "max"]].round(2))
