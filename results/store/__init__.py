"""The DuckDB file: schema, ingest, and the questions asked of it."""
