"""The papers' own tables: their published numbers, and what this project's runs measure there."""
