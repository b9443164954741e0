"""Runs: composed, named, built, recorded, restored; what is known of them afterwards."""
