"""Jobs that run elsewhere: in processes of this machine, or on a cluster."""
