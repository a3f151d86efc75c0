"""Tables from files: .csv .tsv .txt .json .jsonl .parquet .xlsx, gzipped or not, to the letter."""
