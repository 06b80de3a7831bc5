"""Floor 0: the configuration's schema, its YAML files, and the error every floor raises for wrong input."""
