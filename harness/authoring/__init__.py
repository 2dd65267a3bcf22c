"""Tools of an editor's author: templates, the conformance checks."""
