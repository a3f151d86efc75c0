"""The decoder-only family `slt-dec/1`."""
