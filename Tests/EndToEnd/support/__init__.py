"""Parts the end-to-end tests are made of: a plain HTTP client, scripted doubles, and visitors with a cookie."""
