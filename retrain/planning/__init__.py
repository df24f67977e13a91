"""What training takes, decided before anything is loaded: device, precision, memory."""
