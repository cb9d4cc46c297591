"""How good a voice is, measured on what it says: against recordings, by recognisers, by predictors."""
