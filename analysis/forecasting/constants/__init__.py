"""What holds for every table: priors of the laws, and what each part of a width counts."""
