"""A sweep on its way: the driver, its workers, and what they tell each other."""
