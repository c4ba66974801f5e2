"""Gaps: what production shows and the training set lacks, from the database."""
