"""The commands of `mmsa`, one file each, thin: they read options, call one function and print."""
