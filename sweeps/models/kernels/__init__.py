"""The operations of models: with gradients written out, and as one kernel each."""
