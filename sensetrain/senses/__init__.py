"""From tokens to senses: tokens and a teacher in; a dictionary of token senses, word senses and their neighbours out.

The rooms, in the order of their imports (each imports only rooms that stand before it):

1. `settings`, `threads`: what all of them use.
2. `plan`: which states to collect. `plan.occurrences` decides which state belongs to a token (`state_of`).
3. `states`: the teacher's pass, which collects them.
4. `dictionary`: the artefact `senses`, read, written, checked, edited and shared.
5. `cluster`: states to a dictionary.
6. `words`: the dictionary and a graph of words to composed words and neighbours; a word looked up in a dictionary.
"""
