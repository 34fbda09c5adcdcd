"""Numbers from the store's curves: crossovers, trends, onsets of overfitting, differences."""
