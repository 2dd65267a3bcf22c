"""Tables, figures, cases and samples that pages are made of."""
