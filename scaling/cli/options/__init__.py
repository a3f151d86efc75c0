"""What a person may type: options in groups that verbs share, and what their texts become."""
