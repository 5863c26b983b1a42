"""What the commands print for people. Each page takes the object that `--json` prints, and nothing else."""
