"""The situations that components are tried in, a file for each kind."""
