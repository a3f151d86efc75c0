"""The refits behind intervals: drawn, kept within bounds and below the measured losses."""
