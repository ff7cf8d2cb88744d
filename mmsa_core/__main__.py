"""`python -m mmsa_core` is the command `mmsa`."""

from mmsa_core.cli import main

main(prog_name="mmsa")
