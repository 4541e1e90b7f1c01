"""The admin with the templates of a theme: a site of its own, in a process of its own."""
