"""Many trainings in search of good values of a recipe's keys, judged by validation alone."""
