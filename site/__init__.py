"""The leaderboard: queries in, static HTML out."""
