"""TPC-C: its tables, its data, its five transactions, and the conditions that must hold of what they leave."""
