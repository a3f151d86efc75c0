"""What a forecast says, what carries and limits it, and what the runs alone allow."""
