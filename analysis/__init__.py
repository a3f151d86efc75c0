"""What reads records: fits, forecasts, backtests, figures, reports."""
