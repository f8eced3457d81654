"""The `sensetrain` command: arguments in, the stages of the pipeline run, counts on stdout."""
