"""How quick the pages are as a project grows to a million frames."""
