"""The replay benchmark: labeled data played back as unlabeled production, round after round, for
every sampler alike.

Above everything else in loop but the command line; nothing but the command line knows of it.
"""
