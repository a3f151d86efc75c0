"""One run on several devices, of one node or of several."""
