"""``python -m palimpsest.harness.cli``: the command line without the installed script."""

import sys

from palimpsest.harness.cli.app import main

sys.exit(main())
