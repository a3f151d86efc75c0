"""How long things take: fits, tables, training steps, sampling, pages, launchers, the store."""
