"""The laws as one: fitted, backtested on hidden runs, weighed by what they missed, scaled."""
