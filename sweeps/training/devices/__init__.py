"""The devices that a run trains on: which, how many, and how they share it."""
