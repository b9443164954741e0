"""Use a trained run: embed, search, export."""
