"""What a notebook calls; `mmsa_core` itself has the names."""
