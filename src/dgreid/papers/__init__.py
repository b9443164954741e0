"""The papers' own tables: their published numbers, and what was measured beside them."""
