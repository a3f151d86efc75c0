"""Columns beside the loss: what checks of training found, and what losses are held against."""
