"""What is to run: selections, the graph of stages, plans and their cost."""
