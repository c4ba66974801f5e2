"""The API below /api: the read model and what people change, for programs. One file a noun."""
