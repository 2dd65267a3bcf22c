"""Run folders and bundles, read with distrust."""
