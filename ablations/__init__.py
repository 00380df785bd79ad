"""The questions: studies, recipes, trial identity, and what a finished trial says."""
