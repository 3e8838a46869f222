"""What tests share: processes, faults, clients, and the parts of a site that they need."""
