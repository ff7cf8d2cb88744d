# %% [markdown]
# Train two recipes on the embedded corpus and ask which differences between them are distinguishable. All of it is what
# the commands `mmsa train`, `evaluate` and `compare` do. The corpus and the number of epochs are small, so that this
# page runs in seconds: leave `small` out to see the recipes as they are.

# %%
import mmsa_core

small = {"data__samples": [60, 20, 30], "train__epochs": 2, "seeds": [1, 2], "track": {}}

# %% [markdown]
# A recipe is given by path, name, dict or object, and any field of it can be set: two underscores stand for a dot.

# %%
recipe = mmsa_core.recipe("recipes/baseline.yaml", **small)
print(recipe)

# %%
baseline = mmsa_core.train(recipe, out="runs/baseline", quiet=True)
taught = mmsa_core.train("recipes/kd.yaml", out="runs/kd", quiet=True, **small)
print(taught)

# %% [markdown]
# Metrics under missing modalities: each condition is a subset of what is seen. Tables are dicts of columns, which
# `pandas.DataFrame(table)` takes as they are.

# %%
inter = taught.evaluate("inter")
print(inter)
print(inter.metric("auc_non0"))
print(inter.table)

# %% [markdown]
# With two seeds and 30 clips nothing should be distinguishable, and the table says so.

# %%
differences = mmsa_core.compare(taught, against=baseline, protocols=["inter"], resamples=2000)
for row in differences.rows:
    if row["family"] == "averages":
        print(row["condition"], row["metric"], row["difference"], row["verdict"])

# %% [markdown]
# A run is read back from its folder, one of its seeds by its number: results and network are there.

# %%
again = mmsa_core.load_run("runs/kd").seed(1)
print(again.results["test_complete"]["auc_non0"]["mean"])
print(sum(parameter.numel() for parameter in again.model.parameters()), "weights")
