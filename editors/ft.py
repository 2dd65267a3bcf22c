"""FT: plain fine-tuning of one down-projection on each batch.

The unconstrained baseline of Zhu et al. 2020, arXiv 2012.00363, and of the editing papers after it:

    min_W  mean over requests of  −(1/|t|) Σ_i log p_W(t_i | prompt, t_<i)     by Adam
"""

from __future__ import annotations

from palimpsest.editors.toolkit.finetuning import FineTuning


class FineTune(FineTuning):
    """Fine-tuning of one down-projection (arXiv 2012.00363)."""

    class Config(FineTuning.Config):
        """FT's settings."""
