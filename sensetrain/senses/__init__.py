"""From tokens to a dictionary of senses: plan, collect, cluster, compose."""
