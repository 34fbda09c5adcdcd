"""How workers are started: on this machine, or on the nodes of a cluster's allocation."""
