"""Ingest: frames come in, each once, each in its camera-day."""
