"""How sources vary: one module for each family of light curves."""
