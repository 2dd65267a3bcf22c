"""`palimpsest check`: what every editor promises, tried on the two pocket models; one small check for each promise."""
