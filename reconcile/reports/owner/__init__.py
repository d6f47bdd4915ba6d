"""The owner's report: how much money, how many learners, since when, why. Numbers here, looks elsewhere."""
