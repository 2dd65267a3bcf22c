"""The DuckDB store: schema, ingest, export, queries."""
