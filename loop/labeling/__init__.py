"""Labeling: frames go before people, and their answers come back."""
