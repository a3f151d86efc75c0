"""Where a sweep stands: its ledger, as tables and live."""
