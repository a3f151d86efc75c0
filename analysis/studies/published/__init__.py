"""Findings that the field quotes, checked on one's own runs, each with the published value."""
