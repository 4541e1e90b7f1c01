"""The Django project of all systems that need one: settings, tasks, workers."""
