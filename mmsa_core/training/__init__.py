"""From a recipe to a trained student: seeds, stages, the step, and how a training stops and goes on."""
