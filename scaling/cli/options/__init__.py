"""What a person may type: options that verbs share, what is asked of runs, amounts."""
