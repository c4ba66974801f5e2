"""demo: the whole loop on a rendered world."""
