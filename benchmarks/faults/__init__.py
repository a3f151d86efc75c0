"""What the toolkit promises under faults, tried: one class of faults a file, one command for all.

python -m benchmarks.faults                      # a small sample of each class, minutes
python -m benchmarks.faults --full               # the counts of docs/reliability.md, hours
python -m benchmarks.faults tables seals --full  # two classes
"""
