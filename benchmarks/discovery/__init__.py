"""Are laws that were found worth anything? On public tasks and on simulated tables."""
