"""A project: its folder, its settings, how it is made, and the connectors it uses."""
