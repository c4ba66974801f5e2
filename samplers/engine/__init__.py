"""The machinery that strategies share: parts of a batch, covering, farthest points, lazy greedy
choice, near-duplicates.
"""
