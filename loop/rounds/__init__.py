"""Rounds: freeze, train, judge, promote."""
