"""Target vectors: the search, its grouping, and the shared prefixes that make it fast."""
