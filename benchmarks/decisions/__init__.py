"""Are proposed runs, and verdicts between recipes, worth anything?"""
