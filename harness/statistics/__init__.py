"""Answers to editors about the unedited model: second moments, spectra, template texts."""
