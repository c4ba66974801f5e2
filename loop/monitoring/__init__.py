"""What frames and models look like over time: pure functions, no database, no network."""
