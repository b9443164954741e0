"""Attacks on the whole product, kind by kind: a few of each in every test run, hundreds in a campaign."""
