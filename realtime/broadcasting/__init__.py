"""Live models: changes of rows are published to rooms after the commit."""
