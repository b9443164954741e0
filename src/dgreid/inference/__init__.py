"""Using a trained run: embed, search, export."""
