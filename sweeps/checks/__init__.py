"""Is the training what it claims to be? One file a family of checks; `sweeps.checks.run` runs them.

A check of an invariant fails where the code is broken. Any other failed check is a finding about
the recipe on this data: it is said aloud and changes nothing.
"""
