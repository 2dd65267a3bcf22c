"""Built-in editors, each found through the entry-point group ``palimpsest.editors`` like any third party's."""
