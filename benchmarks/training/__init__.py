"""Is what we train right? Against theory, against other code, against other recipes."""
