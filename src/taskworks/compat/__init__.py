"""Names that go on working for projects which come from another package."""
