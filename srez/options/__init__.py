"""Options: each declared once; flags, help, checks and tables are made from them."""
