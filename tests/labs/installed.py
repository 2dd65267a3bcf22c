"""The finders of this installation, for tests that hand them in."""

from palimpsest.cli.wiring import installation

INSTALLED = installation()
