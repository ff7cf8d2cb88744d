"""For all tests: what hypothesis tries is the same in every run; HYPOTHESIS_PROFILE=explore tries something new."""

import os

from hypothesis import settings

settings.register_profile("repeatable", derandomize=True)
settings.register_profile("explore", derandomize=False, max_examples=1000)
settings.load_profile(os.environ.get("HYPOTHESIS_PROFILE", "repeatable"))
