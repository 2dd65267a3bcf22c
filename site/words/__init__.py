"""Labels, looks, safe text and the frame around every page."""
