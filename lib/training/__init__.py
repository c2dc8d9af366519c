"""A replica of the network: its step, forwards, backwards and update, and what decides its rates."""
