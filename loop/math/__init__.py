"""Nothing in here knows a database, a model or a network: arrays and plain values in, the same out."""
