"""What a corpus holds, before anything is trained on it: facts, and warnings on traps that are known."""

from mmsa_core.inspection.shared import Leakage, Shared, leakage

__all__ = ["Leakage", "Shared", "leakage"]
