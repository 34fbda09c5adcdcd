"""A study as one HTML file, or several as one Markdown document."""
