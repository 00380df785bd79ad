"""The table, and everything said around it, as text, Markdown, CSV and LaTeX."""
