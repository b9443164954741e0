"""Choose what runs: selections, the graph of stages, plans and their cost, descriptions of settings."""
