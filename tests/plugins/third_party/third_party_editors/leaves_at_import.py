"""Ends the process when it is imported."""

import sys

sys.exit("this editor needs a licence key")
