"""Laws as people write them: formulas, parsed and never executed, and files of them."""
