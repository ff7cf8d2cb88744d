"""What the tests of wrong components ask: what one check finds, whatever the others say."""

import re

import pytest


@pytest.fixture
def finds():
    def found(outcomes, label, message):
        defects = {outcome.label: outcome.defect for outcome in reversed(list(outcomes)) if outcome.defect}
        assert re.search(message, defects.get(label, "nothing")), f"expected {label}: {message}; found {defects}"

    return found
