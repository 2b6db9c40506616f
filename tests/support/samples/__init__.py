"""Made recordings, tables and stacks."""
