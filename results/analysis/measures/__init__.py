"""Measures beside likelihoods of targets: sampled texts, and questions that follow from an edit."""
