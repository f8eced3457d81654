"""Students: the losses, the teacher cache, and the trainers."""
