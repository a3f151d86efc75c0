"""The report in other forms than HTML, of the same findings: Markdown, JSON, PDF."""
