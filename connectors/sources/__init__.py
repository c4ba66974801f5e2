"""Where frames come from: folders and videos."""
