"""``python -m palimpsest.cli.ticket_worker FILE``: the process of a ticket.

With ``--prepared NUMBER`` it is the process that those of tickets are forked from.
"""

from __future__ import annotations

import sys

from palimpsest.cli.app import main
from palimpsest.harness.fleet.prepared import next_ticket

if __name__ == "__main__":
    place = next_ticket(int(sys.argv[2])) if sys.argv[1] == "--prepared" else sys.argv[1]
    sys.exit(0 if place is None else main(["run", "--ticket", place]))
