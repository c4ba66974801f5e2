"""What is going on, read for every face alike: one read model for pages and commands."""
