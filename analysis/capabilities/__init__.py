"""Forecasts of what people care about beside loss: metrics with a best and a worst value.

metrics        which column, its range, which end is better
response       the bounded curve of a metric, and the scale on which runs scatter alike
routes         the ways to a metric: through the forecast of the loss, and directly
scored_routes  what hiding the largest runs says of them: weights, shift, width
capability     the answer: the better route's, the other's beside it
"""
