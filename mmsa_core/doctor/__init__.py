"""What a bug report needs to know of an installation; nothing that is broken keeps it from saying the rest.

Modules here import the standard library alone when they are imported, so that `python -m mmsa_core.doctor` works where
the command `mmsa` does not start. What may crash or hang is done in a process of its own (`probe`).
"""
