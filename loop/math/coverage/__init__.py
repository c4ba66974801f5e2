"""What production shows and the training set lacks: pure functions over arrays."""
