"""Many sentences in one row of tokens, without padding: rows, trees of sentences, attention on segments."""
