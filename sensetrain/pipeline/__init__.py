"""The stages of the line in their order: what each artefact is made from, and all of them in one run."""
