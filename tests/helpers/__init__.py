"""What tests share: small networks, crowds, projects and runs, and readers of what is written."""
