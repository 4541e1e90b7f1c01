"""A module that ends whoever imports it, as a script does."""

raise SystemExit(3)
