"""Communication between processes: messages, the channel that carries them, and shared memory."""
