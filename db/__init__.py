"""State: tables, states, queries and the vector index. Knows no model and no HTTP."""
