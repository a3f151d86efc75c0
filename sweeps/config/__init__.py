"""What a sweep is: frozen dataclasses that a YAML file mirrors one to one."""
