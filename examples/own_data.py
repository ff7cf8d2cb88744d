# %% [markdown]
# Data in memory: a padded array or a list of arrays for each modality. `None` in a list is a missing modality. Nothing
# has to be called text, audio and vision.

# %%
import numpy as np

import mmsa_core

rng = np.random.default_rng(0)
clips = 120
score = rng.uniform(-3, 3, size=clips).astype(np.float32)


def sequences(width, longest, strength):
    """Frames that tell the score, more or less; a fifth of the clips has none."""
    direction = rng.normal(size=width)
    found = []
    for value in score:
        frames = rng.normal(size=(rng.integers(2, longest), width)) + strength * value * direction
        found.append(None if rng.random() < 0.2 else frames.astype(np.float32))
    return found


words, face = sequences(width=12, longest=9, strength=0.6), sequences(width=5, longest=14, strength=0.2)
splits = ["train"] * 80 + ["valid"] * 20 + ["test"] * 20
corpus = mmsa_core.from_arrays({"words": words, "face": face}, splits, {"score": score})

# %% [markdown]
# A recipe as a dict. `data` names what the corpus is; `corpus` hands it over.

# %%
recipe = {
    "name": "mine",
    "data": {"name": "arrays"},
    "task": {"kind": "regression"},
    "model": {
        "dim": 16,
        "encoders": {"words": {"name": "recurrent"}, "face": {"name": "pooled"}},
        "fusion": {"name": "gated"},
    },
    "masker": {"name": "modality_dropout", "rate": 0.3},
    "train": {"epochs": 8, "batch_size": 16, "lr": 0.01},
}
run = mmsa_core.train(recipe, corpus=corpus, out="runs/mine", quiet=True)
print(run)

# %%
inter = run.evaluate("inter")
print({condition: round(value, 2) for condition, value in inter.metric("mae").items() if value is not None})

# %% [markdown]
# Predictions of new clips, of which only the face was seen.

# %%
new = mmsa_core.from_arrays({"face": [x for x in face if x is not None][:6]}, ["new"] * 6, {})
predictions = run.predict(new)
print(predictions)
assert len(predictions["prediction"]) == 6
