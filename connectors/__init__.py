"""Translators of the outside world: cameras, open_clip, ultralytics, Label Studio. Vendor types
stop here.
"""
