"""The laws that take part in a forecast, in the coordinates in which they are fitted."""
