"""Selection: which frames are labeled next, and why."""
