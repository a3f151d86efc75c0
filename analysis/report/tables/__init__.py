"""The tables of the report, by what they are of; cells.py is what they are made of."""
