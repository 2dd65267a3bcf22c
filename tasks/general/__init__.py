"""Tasks of general abilities over local files: what is asked, how answers are read, and how summaries are scored."""
