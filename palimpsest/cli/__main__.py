"""``python -m palimpsest.cli``: the command line without the installed script."""

import sys

from palimpsest.cli.app import main

sys.exit(main())
