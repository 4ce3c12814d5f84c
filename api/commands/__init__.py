"""The command line's verbs, one module per subject; ``api.cli`` puts them together."""
