"""Runs as job arrays of a Slurm cluster.

The path of a study: `settings` (recipe and site file) -> `shapes` (which runs make an array) ->
`script` (what sbatch is given) -> `submit` (all of it or nothing) -> `task` (on a node) -> `queue`
(where it stands). `submissions` reads and writes its record in the results folder.
"""
