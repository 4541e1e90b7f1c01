"""Django's own tests of tasks on our database backend and its worker: the run `database`."""
