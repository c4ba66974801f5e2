"""Pages with pictures, each written by one function from what was read already."""
