"""What is run, and nothing else: cases, schedules, suites, run specifications and their planning."""
