"""Figures of a track for print, drawn without a browser."""
