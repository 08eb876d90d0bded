"""Model bundles as files: the user's own, which parts they have, where each lies, and how it gets there.

Nothing here imports torch, so that a viewer can list, check and fetch.
"""
