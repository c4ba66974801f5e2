"""The embedder: open_clip, its weights, and what a CLIP was trained on."""
