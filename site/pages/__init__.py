"""One module a page, and the plan of which pages there are."""
