"""Studies: grids of trainings, and how they are done."""
