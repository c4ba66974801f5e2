"""Label Studio: its API, and a server of our own in an environment of its own."""
