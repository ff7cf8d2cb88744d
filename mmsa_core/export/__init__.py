"""A trained student as one file that other programs run: `mmsa export`."""
