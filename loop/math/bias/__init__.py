"""Is a class tied to a scene? Whether the model finds objects, or what is around them."""
