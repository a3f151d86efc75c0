"""What cells mean: numbers as people write them, units of losses, statuses, shares."""
