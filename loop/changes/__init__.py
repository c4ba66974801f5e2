"""What people change: by a page, the API or a command, each the same way and on record."""
