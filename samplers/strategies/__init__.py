"""One file for each family of strategies; `samplers.STRATEGIES` holds them by name."""
