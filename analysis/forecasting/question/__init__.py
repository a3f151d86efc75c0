"""What is asked: targets, how a forecast is made, and which runs and laws can answer."""
