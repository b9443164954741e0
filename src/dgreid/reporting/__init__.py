"""Tables, figures and the page made from reports/metrics."""
