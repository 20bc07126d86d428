"""The report of a study: verdicts, statistics, figures, one HTML page."""
