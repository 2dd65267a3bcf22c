"""Bundles: made, verified, run again, recorded in a ledger."""
