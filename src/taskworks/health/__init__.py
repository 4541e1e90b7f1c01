"""What load balancers and other programs ask a web server: whether runs are executed."""
