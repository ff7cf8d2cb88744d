"""The folder of a run: what is written, how a model is rebuilt from it, and whether it is what was written."""
