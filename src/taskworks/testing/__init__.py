"""For the tests of a project that uses Taskworks."""
