"""Training and scoring of the LightGBM ranker; what it reads and writes are warehouse tables."""
