"""What the user decides: settings, conditions, triggers, names of strategies."""
