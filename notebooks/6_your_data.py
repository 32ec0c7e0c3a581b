# %% [markdown]
# # 6_your_data (being written)
