"""What editors may ask of the unedited model: second moments, spectra, template texts."""
