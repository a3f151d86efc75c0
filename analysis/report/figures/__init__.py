"""The figures of the report: what they show, the data behind them, how they are embedded."""
