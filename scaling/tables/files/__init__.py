"""Tables from files (.csv .tsv .txt .json .jsonl .parquet .xlsx, gzipped too), and into them."""
