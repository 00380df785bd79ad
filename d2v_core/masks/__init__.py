"""Which positions the student does not see."""
