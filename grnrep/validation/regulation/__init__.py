"""Studies of activities of regulators, simulated and measured, and other methods beside grnrep."""
