"""PostgreSQL and nothing else: the embedded server, the door, the schema and the queries."""
