"""Intervals of one course: which cases depend on each other, how sure a mean is, and what follows from means."""
