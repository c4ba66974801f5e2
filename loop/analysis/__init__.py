"""Analysis: what the current models say of each frame, and which frames are nearly the same."""
