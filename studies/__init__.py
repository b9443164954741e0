"""Questions about methods and data, each answered by one script: `python -m studies.NAME`."""
