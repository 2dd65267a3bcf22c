"""The specification of runs, and nothing else: cases, schedules, suites, run specifications and their planning."""
