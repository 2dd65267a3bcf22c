"""From rows to intervals, ranks and differences."""
