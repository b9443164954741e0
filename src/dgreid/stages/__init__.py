"""What a rule of the pipeline runs: one function per stage."""
