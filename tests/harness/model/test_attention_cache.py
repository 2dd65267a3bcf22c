"""Keys and values of earlier positions reach a model under the name that its release has for them."""

import warnings

import pytest
import torch
from torch import nn
from transformers import DynamicCache

from palimpsest.harness.model.attention_cache import carrying
from tests.labs.tiny_models import ARCHITECTURES, random_model


class Older(nn.Module):
    def forward(self, input_ids=None, past_key_values=None, use_cache=None):
        return past_key_values


class Newer(nn.Module):
    def forward(self, input_ids=None, cache=None, use_cache=None):
        return cache


@pytest.mark.parametrize("architecture", ARCHITECTURES)
def test_a_pass_in_two_parts_gives_the_logits_of_one_and_no_warning(architecture):
    model = random_model(architecture).eval()
    ids = torch.arange(3, 11)[None]
    states = DynamicCache(config=model.config)
    with torch.no_grad(), warnings.catch_warnings():
        warnings.simplefilter("error")
        model(input_ids=ids[:, :5], **carrying(model, states))
        rest = model(input_ids=ids[:, 5:], **carrying(model, states)).logits
        whole = model(input_ids=ids).logits
    assert torch.allclose(rest, whole[:, 5:], atol=1e-4)


@pytest.mark.parametrize("kind", [Older, Newer])
def test_a_model_of_any_release_gets_the_name_that_it_has(kind):
    states = DynamicCache()
    assert kind()(**carrying(kind(), states)) is states
