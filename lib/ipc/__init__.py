"""How two processes talk: messages, the channel that carries them, and memory that both can see."""
