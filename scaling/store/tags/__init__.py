"""The tags of a sweep's runs: fetched, kept, read, and which try of a run stands."""
