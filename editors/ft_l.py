"""FT-L: fine-tuning of one down-projection inside a box around where the batch began.

Zhu, Rawat, Zaheer, Bhojanapalli, Li, Yu, Kumar 2020, "Modifying Memories in Transformer Models", arXiv 2012.00363.

    min_W  mean over requests of  −(1/|t|) Σ_i log p_W(t_i | prompt, t_<i)     by Adam,  |W − W_start|∞ ≤ ε

W_start is the weight at the start of the batch, so the box travels: after T batches W may be T·ε from where it began.
"""

from __future__ import annotations

from pydantic import Field

from palimpsest.editors.toolkit.finetuning import FineTuning


class FineTuneBoxed(FineTuning):
    """Fine-tuning of one down-projection inside an L∞ box (arXiv 2012.00363)."""

    class Config(FineTuning.Config):
        """FT-L's settings."""

        norm_constraint: float = Field(gt=0)
        """ε: half the side of the box around the weight at the start of the batch."""

    config: Config

    def half_side(self) -> float:
        """ε."""
        return self.config.norm_constraint
