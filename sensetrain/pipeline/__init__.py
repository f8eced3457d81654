"""The stages in their order: what each artefact is made from, and all stages in one run."""
