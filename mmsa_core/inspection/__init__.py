"""What a corpus holds, before anything is trained on it: facts, and warnings on traps that are known."""
