"""The report in sentences: the summary, the decision, what stands beside it, formulas."""
