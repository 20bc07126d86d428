"""Picture files: found, decoded, encoded, laid out side by side."""
