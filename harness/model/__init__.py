"""One language model: where it is, how it is loaded, read and written."""
