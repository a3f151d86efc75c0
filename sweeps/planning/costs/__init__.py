"""What a plan takes: time, money and memory."""
