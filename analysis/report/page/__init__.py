"""The report as a page: its template and style, its sections, samples and references."""
