"""What the teacher says of a batch's targets: computed once into a cache, or beside the student."""
