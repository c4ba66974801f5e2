"""What every room of the loop may use: errors, files, leases, values for JSON."""
