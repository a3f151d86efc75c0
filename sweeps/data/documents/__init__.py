"""Files of text as documents."""
