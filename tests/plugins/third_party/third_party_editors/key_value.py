"""A memory-based editor in the manner of GRACE (Hartvigsen et al. 2023, arXiv 2211.11031), not a copy of it.

No weight changes. At the output of one block, a codebook of keys (the residual stream at the prompt's last token)
with values (a vector found by gradient descent that gives the new object) answers whatever falls within a radius of a
key; everything else passes by. Nothing of Palimpsest is used but the contract.
"""

import torch
from pydantic import Field
from torch.nn.functional import cross_entropy

from palimpsest.harness.editor import Editor, EditorConfig, EditReport


class KeyValue(Editor):
    """A codebook at the output of one block."""

    class Config(EditorConfig):
        """Fits the pocket models."""

        block: int = Field(default=1, ge=0)
        """Block at whose output the codebook sits."""
        radius: float = Field(default=1e-2, gt=0)
        """A key answers within this distance, relative to its own length."""
        steps: int = Field(default=10, ge=1)
        """Gradient steps per value."""
        learning_rate: float = Field(default=0.5, gt=0)
        """Of the value."""

    def prepare(self, model):
        self.model = model
        self.keys = torch.empty(0, model.anatomy.d_hidden)
        self.values = torch.empty(0, model.anatomy.d_hidden)
        self.tried = None
        block = model.module(model.anatomy.block(self.config.block))
        block.register_forward_hook(self._replace)

    def writes(self):
        return []

    def edit(self, batch):
        learned = []
        for request in batch:
            prompt = self._ids(request.prompt.replace("{}", request.subject), special=True)
            for token in self._ids(" " + request.target_new, special=False):
                learned.append(self._entry(prompt, token))
                prompt = [*prompt, token]
        if learned:
            self.keys = torch.cat([self.keys, *(key[None] for key, _ in learned)])
            self.values = torch.cat([self.values, *(value[None] for _, value in learned)])
        return EditReport(counters={"codebook": len(self.keys)})

    def state_dict(self):
        return {"keys": self.keys, "values": self.values}

    def load_state_dict(self, state):
        if set(state) != {"keys", "values"}:
            raise ValueError(f"A codebook has keys and values, got {sorted(state)}.")
        self.keys, self.values = state["keys"].clone(), state["values"].clone()

    def _ids(self, text, *, special):
        return self.model.tokenizer(text, add_special_tokens=special)["input_ids"]

    def _entry(self, prompt, token):
        """Key and value that make ``token`` follow ``prompt``."""
        ids = torch.tensor([prompt])
        self.tried = "record"
        self.model.model(input_ids=ids)
        key, self.tried = self.tried, None
        value = key.clone().requires_grad_(True)
        optimiser = torch.optim.Adam([value], lr=self.config.learning_rate)
        try:
            with torch.enable_grad():
                for _ in range(self.config.steps):
                    self.tried = value
                    loss = cross_entropy(self.model.model(input_ids=ids).logits[0, -1:], torch.tensor([token]))
                    optimiser.zero_grad()
                    loss.backward()
                    optimiser.step()
        finally:
            self.tried = None
        return key, value.detach()

    def _replace(self, _, __, output):
        hidden = output[0] if isinstance(output, tuple) else output
        if isinstance(self.tried, str):  # note the key of the last token
            self.tried = hidden[0, -1].detach().clone()
            return output
        if self.tried is not None:  # try a value at the last token
            hidden = torch.cat([hidden[:, :-1], self.tried.expand(len(hidden), 1, -1)], dim=1)
        elif len(self.keys):
            exact = "donot_use_mm_for_euclid_dist"  # the quick way is off by more than the radius
            distance = torch.cdist(hidden.float(), self.keys, compute_mode=exact) / self.keys.norm(dim=1)
            nearest, entry = distance.min(dim=-1)
            hidden = torch.where((nearest < self.config.radius)[..., None], self.values[entry].to(hidden.dtype), hidden)
        return (hidden, *output[1:]) if isinstance(output, tuple) else hidden
