"""Where a run is logged: JSON lines always, Weights & Biases when the recipe says so."""
