"""The family `encoder_decoder/1`."""
