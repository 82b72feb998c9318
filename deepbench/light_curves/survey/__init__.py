"""How a survey sees: cadences, exposures, bands and noise."""
