"""Average precision, paired comparison over groups, and the gate. Pure: arrays in, a verdict out."""
