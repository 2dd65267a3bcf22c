# %% [markdown]
# # Analyse a board
#
# The results of a home as data frames: which editors there are, how their curves go, and which facts one keeps and
# another loses. The home is `PALIMPSEST_HOME`, else `./.palimpsest`; `palimpsest store ingest` must have run there.

# %%
import palimpsest

board = palimpsest.frame("runs")
print(board.groupby("editor", observed=True)["effective_edits"].agg(["mean", "std", "count"]).round(1))

# %% [markdown]
# The track with most runs, and efficacy along it: the mean over seeds, one column per editor.

# %%
track = board["track_id"].value_counts().index[0]
metrics = palimpsest.frame("metrics").query("track_id == @track and window == 'all'")
curves = metrics[metrics["metric"] == "efficacy_argmax"].pivot_table(
    index="edits", columns="editor", values="value", observed=True
)
print(curves.round(1))

# %% [markdown]
# Old edits against new: how much of the first quarter is left at the end, beside the latest quarter.

# %%
ages = palimpsest.frame("metrics").query("track_id == @track and metric == 'efficacy_argmax'")
last = ages[(ages["edits"] == ages["edits"].max()) & ages["window"].isin(["first", "latest"])]
print(last.pivot_table(index="editor", columns="window", values="value", observed=True).round(1))

# %% [markdown]
# Facts that the best editor holds at the end and the last one has lost, at the same seed.

# %%
ranking = board[board["track_id"] == track].groupby("editor", observed=True)["effective_edits"].mean().sort_values()
worst, best = ranking.index[0], ranking.index[-1]
cases = palimpsest.frame("cases").query("track_id == @track and kind == 'rewrite'")
cases = cases[cases["edits"] == cases["edits"].max()]
held = cases.pivot_table(index=["seed", "subject"], columns="editor", values="exact_new", observed=True)
kept = held[(held[best] == 1) & (held[worst] == 0)]
print(f"{len(kept)} of {len(held)} facts are held by {best} alone, not by {worst}.")
