"""The detector: ultralytics for inference, and for training in a process of its own."""
