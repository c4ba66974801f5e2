"""The small page beside the service: status, gaps, models, health."""
