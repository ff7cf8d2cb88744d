"""`python -m mmsa_core.doctor [RECIPE]`: works where the command `mmsa` does not start."""

import sys

from mmsa_core.doctor.facts import report
from mmsa_core.doctor.page import text

print(text(report(next(iter(sys.argv[1:]), None))).encode("ascii", "backslashreplace").decode())
