"""The figures of the pages, for the browser to draw; each has its data from a library call."""
