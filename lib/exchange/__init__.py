"""How replicas become their average."""
