"""Results as text for a terminal and as JSON; one file for each wing of the analysis."""
